"""`cb evaluate` without an installation: see `flags/commands/evaluate.py`."""

from flags.main import run

if __name__ == "__main__":
    run("evaluate")
