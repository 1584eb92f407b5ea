"""The pages of the site: their links, and the code that they show.

`make docs` builds the site and runs its notebooks; this is what can be checked
in a moment.
"""

import ast
import importlib
import re
from urllib.parse import unquote

import pytest

from tests.commands import ROOT
from tests.commands import run_code

PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "benchmarks").glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
NOTEBOOKS = [page for page in PAGES if "{code-cell}" in page.read_text()]
FENCE = re.compile(r"^(`{3,})(.*)\n((?:.*\n)*?)\1$", re.MULTILINE)
PUBLIC = "callbacks conversion costs engine export layers metrics tuning"


def name(page):
    """Return the path of a page in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page, language):
    """List the code of a page in blocks of a language."""
    found = FENCE.findall(page.read_text())
    return [code for _, info, code in found if info.split()[:1] == [language]]


def anchors(page):
    """List the anchors of the headings of a page, as GitHub makes them."""
    text = FENCE.sub("", page.read_text())
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        yield re.sub(r"[^\w\- ]", "", heading).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_headings(page):
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text()))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), f"{name(page)}: {link}"
        if anchor:
            assert anchor in [*anchors(target)], f"{name(page)}: {link}"


def test_every_page_is_in_the_table_of_contents_once():
    listed = []
    for page in PAGES:
        for tree in blocks(page, "{toctree}"):
            for line in tree.splitlines():
                entry = line.strip().rpartition("<")[2].rstrip(">")
                if entry and not entry.startswith(":"):
                    found = (page.parent / f"{entry}.md").resolve()
                    assert found in PAGES, f"{name(page)}: {entry}"
                    listed.append(found)
    assert sorted(listed) == sorted({*PAGES} - {ROOT / "docs/index.md"})


def test_notebooks_hold_no_outputs():
    assert not [*(ROOT / "docs").rglob("*.ipynb")]
    for page in NOTEBOOKS:
        assert page.read_text().startswith("---\nfile_format: mystnb\n")


def cells(page):
    """List the code of a notebook, cell by cell."""
    for code in blocks(page, "{code-cell}"):
        options = re.match(r"(?:---\n(?:.*\n)*?---\n|(?::.*\n)*)", code)
        yield code[options.end() :]


def dotted(node):
    """Return the name that an attribute of an attribute ... spells."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [node.id, *reversed(names)] if isinstance(node, ast.Name) else []


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_code_parses_and_names_what_is_there(page):
    import cb

    for code in [*cells(page), *blocks(page, "python")]:
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module[:2] == "cb":
                exec(ast.unparse(node), {})
            first, *others = dotted(node) or [""]
            found = cb
            for attribute in others if first == "cb" else ():
                assert hasattr(found, attribute), ast.unparse(node)
                found = getattr(found, attribute)


@pytest.mark.slow
def test_every_public_name_has_its_place_in_the_api():
    import cb
    from cb import reallocation

    public = {f"cb.{name}" for name in cb.__all__ if name not in cb._PACKAGES}
    public -= {"cb.reallocation"}
    for package in PUBLIC.split():
        module = importlib.import_module(f"cb.{package}")
        public |= {f"cb.{package}.{name}" for name in module.__all__}
    # The same functions, whose place is `cb` itself.
    public -= {
        f"cb.conversion.{name}"
        for name in cb.__all__
        if f"cb.conversion.{name}" in public
    }
    for algorithm in map(reallocation.get, reallocation.names()):
        public.add(f"{algorithm.__module__}.{algorithm.__qualname__}")
    text = "".join(page.read_text() for page in (ROOT / "docs/api").glob("*"))
    listed = re.findall(r"^\.\. auto\w+:: (\S+)$", text, re.MULTILINE)
    assert len(listed) == len({*listed})
    assert public <= {*listed}


@pytest.mark.slow
def test_the_scoreboard_is_that_of_the_measurements():
    """`python -m benchmarks.scoreboard page` makes it so."""
    # Its flags are those of other commands, too.
    code = "from benchmarks import scoreboard; print(scoreboard.table())"
    printed = run_code(code)
    page = (ROOT / "docs" / "scoreboard.md").read_text()
    assert f"<!-- table -->\n{printed}<!--" in page
