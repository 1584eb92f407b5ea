"""The structure that the code promises, measured."""

import ast
import collections
import statistics

import pytest

from tests.commands import ROOT

LONGEST_FILE, LONGEST_FUNCTION, LONGEST_COMMAND = 400, 60, 60

# What each part may import of ours, besides itself.
ERRORS = {"cb.errors"}
BASE = {*ERRORS, "cb.registry"}
PURE = {*BASE, "cb.schedules", "cb.seeds"}
ALLOWED = {
    "cb.errors": set(),
    "cb.files": ERRORS,
    "cb.text": set(),
    "cb.seeds": set(),
    "cb.registry": ERRORS,
    "cb.schedules": BASE,
    "cb.sparsity": PURE,
    "cb.config": {*PURE, "cb.files", "cb.sparsity"},
    "cb.bundles": PURE,
    "cb.kernels": ERRORS,
    "cb.engine": {*ERRORS, "cb.files", "cb.kernels"},
    "cb.distribute": BASE,
    "cb.launch": {*ERRORS, "cb", "cb.text"},
    "cb.datasets": {*PURE, "cb.files", "cb.text"},
    "cb.optimization": {*PURE, "cb.distribute", "cb.files"},
    "cb.layers": {*PURE, "cb.kernels", "cb.sparsity"},
    "cb.metrics": {*PURE, "cb.bundles", "cb.layers"},
    "cb.models": {*PURE, "cb.datasets", "cb.layers", "cb.sparsity"},
    "cb.runs": {*ERRORS, "cb.config", "cb.files", "cb.text"},
    "cb.run_log": {*BASE, "cb.runs"},
    "cb.conversion": {
        *PURE,
        "cb.distribute",
        "cb.kernels",
        "cb.layers",
        "cb.sparsity",
        "cb.text",
    },
    "cb.costs": {
        *PURE,
        "cb.conversion",
        "cb.distribute",
        "cb.kernels",
        "cb.layers",
        "cb.sparsity",
        "cb.text",
    },
    "cb.export": {
        *BASE,
        "cb.conversion",
        "cb.costs",
        "cb.distribute",
        "cb.engine",
        "cb.files",
        "cb.kernels",
        "cb.layers",
        "cb.text",
    },
    "cb.callbacks": {
        *PURE,
        "cb.bundles",
        "cb.costs",
        "cb.distribute",
        "cb.kernels",
        "cb.layers",
        "cb.metrics",
        "cb.optimization",
        "cb.run_log",
        "cb.runs",
        "cb.sparsity",
    },
    "cb.plots": {
        *BASE,
        "cb",
        "cb.config",
        "cb.files",
        "cb.optimization",
        "cb.runs",
        "cb.text",
    },
    "cb.inputs": {"cb.training"},
    "cb.training": {
        *PURE,
        "cb",
        "cb.callbacks",
        "cb.config",
        "cb.conversion",
        "cb.costs",
        "cb.datasets",
        "cb.distribute",
        "cb.export",
        "cb.layers",
        "cb.metrics",
        "cb.models",
        "cb.optimization",
        "cb.run_log",
        "cb.runs",
        "cb.sparsity",
        "cb.text",
    },
    "cb.auto_tuning": {
        *BASE,
        "cb.bundles",
        "cb.callbacks",
        "cb.config",
        "cb.costs",
        "cb.distribute",
        "cb.files",
        "cb.layers",
        "cb.metrics",
        "cb.models",
        "cb.runs",
        "cb.text",
        "cb.training",
    },
    "cb.evaluation": {
        *BASE,
        "cb.bundles",
        "cb.callbacks",
        "cb.conversion",
        "cb.costs",
        "cb.datasets",
        "cb.distribute",
        "cb.export",
        "cb.metrics",
        "cb.models",
        "cb.plots",
        "cb.run_log",
        "cb.runs",
        "cb.text",
        "cb.training",
    },
    "cb.tuning": {
        *PURE,
        "cb.config",
        "cb.costs",
        "cb.datasets",
        "cb.distribute",
        "cb.export",
        "cb.files",
        "cb.plots",
        "cb.run_log",
        "cb.runs",
        "cb.sparsity",
        "cb.text",
        "cb.training",
    },
}
LOOSE = {"__init__", "errors", "schedules", "seeds", "text"}


def modules(folder):
    return [
        (".".join(file.relative_to(ROOT).with_suffix("").parts), file)
        for file in sorted((ROOT / folder).rglob("*.py"))
    ]


def imports(file):
    """List the names of ours that a file imports, wherever it does."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def part(name):
    """Return the part of `cb` that a dotted name belongs to."""
    return ".".join(name.split(".")[:2])


def imported_parts(name, file):
    """Return the parts of `cb` that a module imports, besides its own."""
    found = {
        part(imported)
        for imported in imports(file)
        if imported.split(".")[0] == "cb"
    }
    return found - {part(name)}


@pytest.mark.parametrize("name, file", modules("cb"))
def test_imports_go_one_way(name, file):
    # The package itself only names what it holds, for type checkers.
    if name != "cb.__init__":
        assert imported_parts(name, file) <= ALLOWED[part(name)]
    for imported in imports(file):
        if imported.split(".")[0] == "flags":
            pytest.fail(f"{name} imports {imported}: flags stay at the edge")


def test_no_part_reaches_itself():
    def reached(start):
        found, waiting = set(), [*ALLOWED[start]]
        while waiting:
            following = waiting.pop()
            if following != "cb" and following not in found:
                found.add(following)
                waiting += ALLOWED[following]
        return found

    for start in ALLOWED:
        assert start not in reached(start)


def test_every_row_is_needed():
    used = collections.defaultdict(set)
    for name, file in modules("cb"):
        used[part(name)] |= imported_parts(name, file)
    shared = {"cb.errors", "cb.registry", "cb.schedules", "cb.seeds"}
    for name, allowed in ALLOWED.items():
        assert allowed - shared <= used[name], name


def test_modules_have_rooms():
    found = {file.stem for file in (ROOT / "cb").glob("*.py")}
    assert found == LOOSE


def test_tests_mirror_the_package():
    rooms = {folder.name for folder in (ROOT / "cb").iterdir()}
    others = {"command_line", "experiments", "tools"}
    for folder in (ROOT / "tests").iterdir():
        if folder.is_dir() and folder.name != "__pycache__":
            assert folder.name in rooms | others


@pytest.mark.parametrize("name, file", modules("cb"))
def test_nothing_of_the_library_reads_flags(name, file):
    assert "absl" not in {found.split(".")[0] for found in imports(file)}


def test_the_pure_core_touches_no_framework():
    roots = {f"cb.{name}" for name in LOOSE - {"__init__"}} | {
        "cb.files",
        "cb.registry",
    }
    pure = [found for found in modules("cb") if part(found[0]) in roots]
    for name, file in [*modules("cb/sparsity"), *pure]:
        for imported in imports(file):
            assert imported.split(".")[0] not in ("tensorflow", "keras"), name


def test_what_compares_trees_imports_neither():
    for name, file in modules("tools"):
        # Two are run with the `cb` of either tree, and one compares nothing.
        others = ("tools.pages", "tools.python_api", "tools.saved_objects")
        if name not in others:
            roots = {found.split(".")[0] for found in imports(file)}
            assert not roots & {"cb", "flags"}, name


def functions(file):
    """List the functions of a file with their lines, docstrings aside."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            docstring = node.body[0] if ast.get_docstring(node) else None
            if docstring is not None:
                length -= docstring.end_lineno - docstring.lineno + 1
            yield node, length


EVERYTHING = [
    *modules("cb"),
    *modules("flags"),
    *modules("benchmarks"),
    *modules("experiments"),
    *modules("tools"),
    *[(file.stem, file) for file in sorted(ROOT.glob("*.py"))],
]


@pytest.mark.parametrize("name, file", EVERYTHING)
def test_files_and_functions_are_short(name, file):
    assert len(file.read_text().splitlines()) <= LONGEST_FILE
    for node, length in functions(file):
        assert length <= LONGEST_FUNCTION, f"{name}.{node.name}"


def test_most_files_are_shorter_still():
    lengths = [len(file.read_text().splitlines()) for _, file in EVERYTHING]
    assert statistics.median(lengths) <= 150


@pytest.mark.parametrize(
    "file",
    [
        *sorted(ROOT.glob("*.py")),
        *sorted((ROOT / "flags/commands").glob("*.py")),
    ],
)
def test_commands_are_tables_of_contents(file):
    assert len(file.read_text().splitlines()) < LONGEST_COMMAND


def test_no_hash_that_differs_from_process_to_process():
    for name, file in modules("cb"):
        for node in ast.walk(ast.parse(file.read_text())):
            called = isinstance(node, ast.Call) and node.func
            assert getattr(called, "id", "") != "hash", name
