"""The quick tests are those that need no TensorFlow, and no others."""

import subprocess
import sys

import pytest

from tests.commands import ROOT

pytestmark = pytest.mark.slow

TESTS = {
    "pure": """
def test_stays_pure():
    assert "tensorflow" not in sys.modules
""",
    "direct": "import tensorflow",
    "indirect": "from cb.layers import masked",
    "marked": """
@pytest.mark.slow
def test_is_left_out():
    raise AssertionError
""",
    "late": """
def test_imports():
    import tensorflow
""",
    "process": """
def test_starts_a_process():
    subprocess.run(["true"])
""",
}


def test_what_is_slow_is_left_out_or_fails(tmp_path):
    for name, text in TESTS.items():
        head = "import subprocess\nimport sys\n\nimport pytest\n"
        (tmp_path / f"{name}_test.py").write_text(head + text)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--quick", "-q"),
            *("-p", "tests.conftest", "-c", "pyproject.toml", str(tmp_path)),
        ],
        cwd=ROOT,
        text=True,
        capture_output=True,
    )
    assert "2 failed, 1 passed, 1 deselected in" in done.stdout, done.stdout
    for problem in ("imports tensorflow", "starts a process"):
        message = f"A quick test {problem}: mark it with `@pytest.mark.slow`."
        assert message in done.stdout
