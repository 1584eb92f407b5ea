"""`cb train` without an installation: see `flags/commands/train.py`."""

from flags.main import run

if __name__ == "__main__":
    run("train")
