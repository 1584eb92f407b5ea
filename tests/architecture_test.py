"""The structure that the code promises, measured."""

import ast
import statistics

import pytest

from tests.commands import ROOT

LONGEST_FILE, LONGEST_FUNCTION, LONGEST_COMMAND = 400, 60, 60

# What each part may import of ours, besides itself; `*` is anything in `cb`.
BASE = {"cb.errors", "cb.registry", "cb.sparsity"}
ALLOWED = {
    "cb.errors": set(),
    "cb.registry": {"cb.errors"},
    "cb.sparsity": {"cb.errors", "cb.registry"},
    "cb.config": BASE,
    "cb.optimization": {*BASE, "cb.variables"},
    "cb.compilation": {*BASE, "cb.config", "cb.optimization"},
    "cb.bundles": BASE,
    "cb.metrics": {*BASE, "cb.bundles", "cb.layers"},
    "cb.layers": {*BASE, "cb.kernels"},
    "cb.kernels": {"cb.errors"},
    "cb.variables": {"cb.distribute", "cb.errors"},
    "cb.text": set(),
    "cb.conversion": {
        *BASE,
        "cb.layers",
        "cb.kernels",
        "cb.text",
        "cb.variables",
    },
    "cb.costs": {
        *BASE,
        "cb.conversion",
        "cb.layers",
        "cb.kernels",
        "cb.text",
        "cb.variables",
    },
    "cb.models": {*BASE, "cb.layers"},
    "cb.datasets": BASE,
    "cb.distribute": {"cb.errors", "cb.registry"},
    "cb.runs": {"cb.errors", "cb.config"},
    "cb.callbacks": {
        *BASE,
        "cb.bundles",
        "cb.costs",
        "cb.distribute",
        "cb.layers",
        "cb.metrics",
        "cb.optimization",
        "cb.runs",
        "cb.variables",
    },
    "cb.export": {
        *BASE,
        "cb.conversion",
        "cb.costs",
        "cb.layers",
        "cb.kernels",
        "cb.text",
        "cb.variables",
    },
    "cb.plots": {"cb.errors", "cb.config", "cb.optimization", "cb.runs"},
}
ROOTS = (
    "cb.auto_tuning",
    "cb.conflicts",
    "cb.evaluation",
    "cb.experiment",
    "cb.exporting",
    "cb.input_sheet",
    "cb.inputs",
    "cb.launch",
    "cb.lesions",
    "cb.profiling",
    "cb.run_costs",
    "cb.recipes",
    "cb.summary",
    "cb.training",
    "cb.tuning",
)


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


@pytest.mark.parametrize("name, file", modules("cb"))
def test_imports_go_one_way(name, file):
    if part(name) in ROOTS or name == "cb.__init__":
        allowed = None
    else:
        allowed = ALLOWED[part(name)] | {part(name)}
    for imported in imports(file):
        if imported.split(".")[0] == "flags":
            pytest.fail(f"{name} imports {imported}: flags stay at the edge")
        if imported.split(".")[0] == "cb" and allowed is not None:
            assert part(imported) in allowed, f"{name} imports {imported}"


@pytest.mark.parametrize("name, file", modules("cb"))
def test_nothing_of_the_library_reads_flags(name, file):
    assert "absl" not in {found.split(".")[0] for found in imports(file)}


def test_the_pure_core_touches_no_framework():
    for name, file in modules("cb/sparsity"):
        for imported in imports(file):
            assert imported.split(".")[0] not in ("tensorflow", "keras"), name


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


@pytest.mark.parametrize("file", sorted(ROOT.glob("*.py")))
def test_commands_are_tables_of_contents(file):
    assert len(file.read_text().splitlines()) < LONGEST_COMMAND


def test_no_hash_that_differs_from_process_to_process():
    for name, file in modules("cb"):
        for node in ast.walk(ast.parse(file.read_text())):
            called = isinstance(node, ast.Call) and node.func
            assert getattr(called, "id", "") != "hash", name
