import numpy as np
import pytest

from cb.engine import Node
from cb.engine import connect
from cb.errors import InputError
from tests.commands import run_code


@pytest.mark.slow
def test_import_needs_neither_keras_nor_tensorflow():
    program = (
        "import sys, time; start = time.process_time(); import cb; "
        "cb.engine.Graph; "
        "assert time.process_time() - start < 0.5; "
        "assert not {'keras', 'tensorflow'} & {*sys.modules}"
    )
    run_code(program)


@pytest.mark.slow
def test_without_numba_the_reason_is_said():
    program = (
        "import sys; sys.modules['numba'] = None; import cb.engine, cb.errors\n"
        "try: cb.engine.load('.')\n"
        "except cb.errors.InputError as error: assert 'Numba' in str(error)"
    )
    run_code(program)


@pytest.mark.parametrize(
    "node",
    [
        Node("unknown", "a", (0,), 1),
        Node("activation", "a", (0,), 1, {"function": "unknown"}),
        Node("add", "a", (0, 7), 1),
        Node("flatten", "a", (0,), 0),
        Node("scale", "a", (0,), 1, {}, {"scale": np.ones(3)}),
        Node(
            "pool",
            "a",
            (0,),
            1,
            {
                "function": "max",
                "size": (9, 9),
                "strides": (1, 1),
                "padding": ((0, 0), (0, 0)),
            },
        ),
    ],
)
def test_what_does_not_fit_is_refused(node):
    with pytest.raises(InputError, match="'a'"):
        connect({0: (4, 4, 2)}, [1], [node])


def test_an_output_must_exist():
    with pytest.raises(InputError, match="Outputs"):
        connect({0: (4, 4, 2)}, [3], [])
