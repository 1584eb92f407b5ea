"""The table of modes of `evaluate.py`, and the flags that it refuses."""

import ast
import json

import pytest

from tests.commands import ROOT
from tests.commands import run_code

pytestmark = pytest.mark.slow

CHANGED = "accept_changed_data"
OF_RUNS = {"run_dir", "checkpoint", "data_dir", "strategy", "attempt", CHANGED}
BUNDLES = {
    "all_conflict_layers",
    "conflicting_samples_size",
    "amplitude",
    "conflict_layers",
}
# Written from the documentation: flags that go with the one that chooses.
TOGETHER = {
    "saved_model": {
        *("dataset", "data_dir", "batch_size", "augmentation", CHANGED)
    },
    "lesion": OF_RUNS | {"conflicting_samples_size", "amplitude"},
    "export": OF_RUNS | {"export_batch_sizes", "export_goal"},
    "all_conflict_layers": OF_RUNS | BUNDLES | {"published_columns"},
    "conflicting_samples_size": OF_RUNS | BUNDLES | {"published_columns"},
    "amplitude": OF_RUNS | BUNDLES | {"published_columns"},
    "conflict_layers": OF_RUNS | BUNDLES | {"published_columns"},
    "published_columns": OF_RUNS | BUNDLES,
    "profile": OF_RUNS,
    "run_dir": OF_RUNS,
}
CHOOSERS = {*TOGETHER} - {"run_dir"}
VALUES = {
    "accept_changed_data": "True",
    "all_conflict_layers": "True",
    "amplitude": "model",
    "attempt": "1",
    "batch_size": "9",
    "conflicting_samples_size": "9",
    "export_batch_sizes": "3",
    "export_goal": "size",
    "profile": "True",
    "published_columns": "True",
}
SCRIPT = """
import json, sys
from absl import flags
from cb.errors import InputError
from flags.commands.evaluate import MODES
from flags import evaluation

found = []
for arguments in json.load(sys.stdin):
    flags.FLAGS.unparse_flags()
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    flags.FLAGS(["evaluate.py", *arguments])
    try:
        found.append([evaluation.chosen(MODES).flag, ""])
    except InputError as error:
        found.append([None, str(error)])
own = flags.FLAGS.flags_by_module_dict()["flags.evaluation"]
rows = [[m.flag, m.function, dict(m.arguments), list(m.takes())] for m in MODES]
print(json.dumps([found, rows, [flag.name for flag in own]]))
"""


def given(*names):
    return [f"--{name}={VALUES.get(name, 'x')}" for name in names]


def pairs():
    """List a flag that chooses a mode with each other flag."""
    every = set().union(*TOGETHER.values(), TOGETHER)
    for chooser in sorted(TOGETHER):
        for name in sorted(every - {chooser}):
            yield chooser, name


@pytest.fixture(scope="module")
def table():
    """Return what is chosen for each of `pairs`, the rows and the flags."""
    commands = []
    for chooser, name in pairs():
        needed = "dataset" if chooser == "saved_model" else "run_dir"
        commands.append(given(*dict.fromkeys((chooser, needed, name))))
    printed = run_code(SCRIPT, typed=json.dumps(commands))
    found, rows, flags = json.loads(printed)
    return dict(zip(pairs(), found, strict=True)), rows, flags


def test_a_flag_is_accepted_where_it_has_a_meaning_and_refused_elsewhere(table):
    found, _, _ = table
    for (chooser, name), (mode, message) in found.items():
        if chooser == "run_dir" and name in CHOOSERS - {"saved_model"}:
            assert mode, (name, message)
        elif name in TOGETHER[chooser]:
            assert mode, (chooser, name, message)
        elif chooser in TOGETHER.get(name, ()):
            assert mode, (chooser, name, message)
        else:
            assert mode is None, (chooser, name, mode)
            assert f"{name}=" in message and "Received: " in message


def test_every_flag_belongs_to_a_mode(table):
    _, rows, flags = table
    assert {*flags} == {name for row in rows for name in row[3]}


def test_flags_and_parameters_of_the_functions_agree(table):
    _, rows, _ = table
    for flag, function, arguments, taken in rows:
        module, _, name = function.partition(":")
        file = ROOT / "cb" / "evaluation" / f"{module}.py"
        (found,) = (
            node
            for node in ast.parse(file.read_text()).body
            if isinstance(node, ast.FunctionDef) and node.name == name
        )
        parameters = [argument.arg for argument in found.args.args]
        first = ["run"] if "run_dir" in taken else []
        assert {*parameters} == {*first, *arguments.values()}, flag
        assert parameters[: len(first)] == first
