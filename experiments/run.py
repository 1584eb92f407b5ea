"""Train a published experiment, evaluate it and compare.

    python -m experiments.run SOURCE/RUN [FLAGS]

The names are those of docs/experiments.md, the flags those of `train.py`, which
win over the ones of the experiment.
"""

import hashlib
import signal
import subprocess
import sys
from collections.abc import Sequence

from cb.errors import InputError
from cb.errors import RunError
from cb.errors import guarded
from cb.registry.annotations import nearest
from cb.runs.directory import RunDirectory
from experiments.catalogue import Experiment
from experiments.catalogue import header
from experiments.ours import shown
from experiments.published import ACCURACY
from experiments.published import by_name
from experiments.published import last_accuracy
from experiments.results import ROOT

# Flags that do not make another run of it.
SAME_RUN = ("--data_dir=", "--data_workers=", "--print_every=")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one experiment and print the published number beside ours.

    Args:
        arguments: List of the name of the experiment and flags; `None` for
            those of the command line.

    Raises:
        InputError: If there is no such experiment, or it begins with a run
            that is not there.
        RunError: If a signal ends a command.
        SystemExit: With the code of a command that fails.
    """
    name, *rest = [*(sys.argv[1:] if arguments is None else arguments)] or [""]
    if name in ("-h", "--help", "-help"):
        print(__doc__)
        return
    known = by_name()
    if name not in known:
        raise InputError(
            "The experiment must be one of those in docs/experiments.md. "
            f"Received: {name!r}.{nearest(name, known)}"
        )
    flags = joined(rest)
    run_dir = folder(name, flags)
    data = [flag for flag in flags if flag.startswith("--data_dir=")]
    file = ROOT / known[name].path
    begins = _before(known[name], flags)
    _call("train.py", f"--flagfile={file}", *begins, *flags, run_dir=run_dir)
    _call("evaluate.py", *data, run_dir=run_dir)
    found = header(file.read_text(encoding="utf-8"))
    print(f"\n{name}: {file.read_text().splitlines()[0].removeprefix('# ')}")
    print(f"published  {found['Expected']}")
    ours = last_accuracy(RunDirectory(str(ROOT / run_dir)))[ACCURACY]
    changes = " ".join(_changes(flags))
    # Of another training, the numbers need not be alike.
    others = f", with {changes}" if changes else ""
    print(f"ours       test accuracy {shown(ours)} %{others}")
    for key in ("Note", "Time"):
        if key in found:
            text = found[key].replace(f"=runs/{name}", f"={run_dir}")
            print(f"{key.lower():<10} {text}")


def joined(words: Sequence[str]) -> list[str]:
    """Return flags in the form `--name=value`, as which they may be compared.

    Args:
        words: Those of a command line, also `-name=value` and `--name value`.
    """
    found: list[str] = []
    for word in words:
        if word.startswith("-"):
            found.append(f"--{word.lstrip('-')}")
        elif found and "=" not in found[-1]:
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found


def _before(experiment: Experiment, flags: Sequence[str]) -> list[str]:
    """Return the flag that names the run that an experiment begins with."""
    start = str(experiment.flags.get("initialize_from", ""))
    given = any(flag.startswith("--initialize_from=") for flag in flags)
    if given or not start.startswith("runs/"):
        return []
    name = start.removeprefix("runs/").removesuffix(":last")
    others = [flag for flag in flags if not flag.startswith("--run_dir=")]
    path = folder(name, others)
    if RunDirectory(str(ROOT / path)).read_summary() is None:
        raise InputError(
            f"Experiment {experiment.name!r} begins with the run of "
            f"{name!r}, which must be there: run it first, with the same "
            f"flags. Received: no finished run in {path!r}"
        )
    return [f"--initialize_from={path}:last"]


def _call(script: str, *flags: str, run_dir: str) -> None:
    """Run a command, which gets the signals that this one is sent."""
    command = [sys.executable, str(ROOT / script), *flags]
    process = subprocess.Popen(
        [*command, f"--run_dir={run_dir}"], cwd=ROOT, start_new_session=True
    )

    def forward(number, _):
        process.send_signal(number)

    before = {
        number: signal.signal(number, forward)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    code = process.wait()
    for number, handler in before.items():
        signal.signal(number, handler)
    if code < 0:
        # It has said nothing, as where memory was short.
        name = signal.Signals(-code).name
        raise RunError(f"{script} was ended by {name}.")
    if code:
        sys.exit(code)


def _changes(flags: Sequence[str]) -> list[str]:
    """Return the flags that make it another run than that of the experiment."""
    return sorted(
        flag for flag in flags if not flag.startswith((*SAME_RUN, "--run_dir="))
    )


def folder(name: str, flags: Sequence[str]) -> str:
    """Return where a run is kept: one folder for each set of other flags."""
    given = [flag for flag in flags if flag.startswith("--run_dir=")]
    if given:
        return given[-1].partition("=")[2]
    if not (changes := _changes(flags)):
        return f"runs/{name}"
    digest = hashlib.sha256("\n".join(changes).encode("utf-8")).hexdigest()
    return f"runs/{name}_{digest[:8]}"


if __name__ == "__main__":
    guarded(main)
