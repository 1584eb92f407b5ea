"""`cb tune` without an installation: see `flags/commands/tune.py`."""

from flags.main import run

if __name__ == "__main__":
    run("tune")
