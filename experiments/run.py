"""Train a published experiment, evaluate it and compare.

python -m experiments.run SOURCE/RUN [FLAGS]
"""

import hashlib
import subprocess
import sys

from cb.registry import unknown
from cb.runs.directory import RunDirectory
from experiments.catalogue import header
from experiments.ours import shown
from experiments.published import ACCURACY
from experiments.published import by_name
from experiments.published import last_accuracy
from experiments.results import ROOT

# Flags that do not make another run of it.
SAME_RUN = ("--data_dir=", "--data_workers=", "--print_every=")


def main(arguments):
    """Run one experiment and print the published number beside ours.

    Args:
        arguments: List of the name of the experiment and flags.

    Returns:
        Integer, the exit code.
    """
    known = by_name()
    name = arguments[0] if arguments else ""
    if name not in known:
        print(unknown("experiment", name, known), file=sys.stderr)
        return 2
    flags, file = arguments[1:], ROOT / known[name].path
    run_dir = folder(name, flags)
    data = [flag for flag in flags if flag.startswith("--data_dir=")]
    commands = (
        ["train.py", f"--flagfile={file}", *flags, f"--run_dir={run_dir}"],
        ["evaluate.py", f"--run_dir={run_dir}", *data],
    )
    for script, *rest in commands:
        command = [sys.executable, str(ROOT / script), *rest]
        code = subprocess.run(command, cwd=ROOT).returncode
        if code:
            return code
    found = header(file.read_text(encoding="utf-8"))
    print(f"\n{name}: {file.read_text().splitlines()[0].removeprefix('# ')}")
    print(f"published  {found['Expected']}")
    ours = last_accuracy(RunDirectory(str(ROOT / run_dir)))[ACCURACY]
    print(f"ours       test accuracy {shown(ours)} %")
    for key in ("Note", "Time"):
        if key in found:
            print(f"{key.lower():<10} {found[key]}")
    return 0


def folder(name, flags):
    """Return where a run is kept: one folder for each set of other flags."""
    given = [flag for flag in flags if flag.startswith("--run_dir=")]
    if given:
        return given[-1].partition("=")[2]
    changes = sorted(flag for flag in flags if not flag.startswith(SAME_RUN))
    if not changes:
        return f"runs/{name}"
    digest = hashlib.sha256("\n".join(changes).encode("utf-8")).hexdigest()
    return f"runs/{name}_{digest[:8]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
