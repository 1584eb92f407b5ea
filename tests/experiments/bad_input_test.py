"""Experiments with a command line of their own show no traceback."""

import pytest

from tests.commands import run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "script, arguments",
    [
        ("large_batch_f1", ["--data_dir=/proc/none"]),
        ("fnn_depth_width", ["/proc/none"]),
        ("auto_tune_fnn", ["/proc/none"]),
    ],
)
def test_a_wrong_folder_of_data_is_one_line(tmp_path, script, arguments):
    file = f"experiments/{script}.py"
    code, _, errors = run(file, *arguments, folder=tmp_path)
    assert code == 2, errors
    assert "Traceback" not in errors
    assert "tfds build mnist" in errors.splitlines()[-1]
