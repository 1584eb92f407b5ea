"""Run a published table to its end; the same command resumes it.

    python -m experiments.table NAME [--data_dir=DIR] [--help]

Every run is a process with one thread, in a folder of its own; what was
measured is added to experiments/results/NAME.csv when it ends. One seed of
every cell comes first, then the next seeds. Runs that are in the file are not
done again, a seed that diverged among them. `python -m experiments.write`
makes the pages from the files. A run that another one begins with is done
again if its folder is not here.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from collections.abc import Sequence
from typing import NamedTuple

from cb.errors import INPUT_ERROR
from cb.errors import PREEMPTED
from cb.errors import RUN_ERROR
from cb.errors import InputError
from cb.errors import RunError
from cb.errors import argument_error
from cb.errors import guarded
from cb.files.folders import make_folder
from cb.runs.directory import RunDirectory
from experiments import results
from experiments.catalogue import Experiment
from experiments.ours import counted
from experiments.published import SEEDS
from experiments.published import Table
from experiments.published import by_name
from experiments.published import tables

# A run has one core.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
# In the last line of a run that diverged.
NOT_FINITE = "no longer finite"


class Job(NamedTuple):
    """A run of a table.

    Attributes:
        experiment: `Experiment`.
        seed: Integer.
        folder: Path of the run.
        before: Path of the run that must be finished before, or `None`.
    """

    experiment: Experiment
    seed: int
    folder: pathlib.Path
    before: pathlib.Path | None

    def command(self, data_dir: str | None) -> list[str]:
        """Return the command that trains or resumes the run."""
        flags = {
            **self.experiment.flags,
            "seed": self.seed,
            "run_dir": self.folder,
        }
        if self.before is not None:
            flags["initialize_from"] = f"{self.before}:last"
        if data_dir is not None:
            flags["data_dir"] = data_dir
        return [
            sys.executable,
            str(results.ROOT / "train.py"),
            *(f"--{name}={value}" for name, value in flags.items()),
        ]

    def is_ready(self) -> bool:
        """Return whether the run that must come before is finished."""
        before = self.before and RunDirectory(str(self.before))
        return not before or before.read_summary() is not None


def jobs(
    table: Table, runs: pathlib.Path, seeds: Sequence[int]
) -> Iterator[Job]:
    """Yield the runs of a table: a whole seed, then the next."""
    known = by_name()

    def folder(name, seed):
        return runs / table.name / f"{name.replace('/', '_')}_{seed}"

    for seed in seeds:
        for cell in table.cells:
            yield Job(
                known[cell.experiment],
                seed,
                folder(cell.experiment, seed),
                cell.after and folder(cell.after, seed),
            )


class Runner:
    """Does the runs of a table, some at a time.

    Args:
        table: `Table`.
        commit: String, the last one that changed the code.
        given: Namespace of the arguments of the command.
    """

    def __init__(self, table: Table, commit: str, given: argparse.Namespace):
        self.table = table
        self.commit = commit
        self.given = given
        self.running: dict[subprocess.Popen, Job] = {}
        self.stopped = self.refused = False
        self.signalled = False
        self._end = time.monotonic() + 60 * given.minutes

    def waiting(self) -> list[Job]:
        """Return the runs that are to be done, in order.

        These are the ones that are not in the file, and those before them
        whose folders are not here.
        """
        seeds = self.given.seeds or SEEDS
        every = {
            job.folder: job for job in jobs(self.table, self.given.runs, seeds)
        }
        rows = self._rows()
        wanted: set[pathlib.Path] = set()
        for job in every.values():
            if self._key(job) in rows:
                continue
            # Those before it, back to one that is here.
            while job.folder not in wanted:
                wanted.add(job.folder)
                before = job.before and every.get(job.before)
                if not before or job.is_ready():
                    break
                if rows.get(self._key(before)) == results.DIVERGED:
                    break
                job = before
        return [job for job in every.values() if job.folder in wanted]

    def _rows(self) -> dict[tuple[str, int], str]:
        """Return the status of the runs that are in the file."""
        found = counted(self.table, self.given.results)
        return {(one.experiment, one.seed): one.status for one in found}

    @staticmethod
    def _key(job: Job) -> tuple[str, int]:
        return job.experiment.name, job.seed

    def run(self) -> int:
        """Do all runs, or those that there is time for.

        Returns:
            Integer, the exit code.
        """
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        try:
            self._run(self.waiting())
        finally:
            # Nothing is left running when results cannot be written.
            for process in self.running:
                process.terminate()
            for process in self.running:
                process.wait()
        left = self.waiting()
        print(f"{self.table.name}: {len(left)} runs are left", flush=True)
        if self.stopped:
            reason = "as it was told to"
            if not self.signalled:
                reason = f"after {self.given.minutes:g} minutes"
            print(
                f"Stopped {reason}; what was trained is saved. Run the same "
                "command again to resume.",
                flush=True,
            )
            return PREEMPTED
        if self.refused:
            return INPUT_ERROR
        return RUN_ERROR if left else 0

    def _run(self, waiting: list[Job]) -> None:
        while waiting or self.running:
            self.stopped |= time.monotonic() > self._end
            if self.stopped:
                for process in self.running:
                    process.terminate()
            if self.stopped or self.refused:
                waiting = []
            ready = [job for job in waiting if job.is_ready()]
            for job in ready[: self.given.jobs - len(self.running)]:
                waiting.remove(job)
                self._start(job)
            if waiting and not self.running:
                names = {str(job.before) for job in waiting}
                print(f"Not finished: {', '.join(sorted(names))}", flush=True)
                break
            self._collect()
            time.sleep(1)

    def _stop(self, *_) -> None:
        self.stopped = self.signalled = True

    def _start(self, job: Job) -> None:
        print(
            f"{job.experiment.name}, seed {job.seed} ({job.folder}.log)",
            flush=True,
        )
        job.folder.parent.mkdir(parents=True, exist_ok=True)
        self._note_commit(job)
        # Errors by themselves: a run that a kill of this process has left
        # goes on to write to the log.
        with (
            open(f"{job.folder}.log", "a", encoding="utf-8") as log,
            open(f"{job.folder}.errors", "w", encoding="utf-8") as errors,
        ):
            process = subprocess.Popen(
                job.command(self.given.data_dir),
                cwd=results.ROOT,
                env={**os.environ, **ONE_THREAD},
                stdout=log,
                stderr=errors,
                start_new_session=True,
            )
        self.running[process] = job

    def _collect(self) -> None:
        """Write what the runs that have ended gave."""
        for process in [p for p in self.running if p.poll() is not None]:
            job, code = self.running.pop(process), process.returncode
            if code == 0 or code == RUN_ERROR and NOT_FINITE in _last_line(job):
                # A run before another one may be in the file already.
                if self._key(job) in self._rows():
                    continue
                if code == 0:
                    self._measure(job)
                else:
                    self._record(job, None)
            elif not self.stopped:
                # What one run lacks, such as the data, the others do too.
                self.refused |= code == INPUT_ERROR
                print(
                    f"{job.experiment.name}, seed {job.seed}: exit code "
                    f"{code}; {_last_line(job)}",
                    flush=True,
                )

    def _measure(self, job: Job) -> None:
        try:
            numbers = self.table.measure(RunDirectory(str(job.folder)))
            self._record(job, numbers)
        except (InputError, RunError) as error:
            # The other runs of the table go on.
            print(f"{job.experiment.name}, seed {job.seed}: {error}")

    def _note_commit(self, job: Job) -> None:
        """Add the present commit to those that a run was trained with."""
        commits = _lines(job, "commits")
        if self.commit not in commits:
            with open(f"{job.folder}.commits", "a", encoding="utf-8") as file:
                file.write(f"{self.commit}\n")

    def _record(self, job: Job, numbers) -> None:
        lines = results.of_run(
            job.experiment.name,
            job.seed,
            job.experiment.flags,
            " ".join(_lines(job, "commits")),
            numbers,
        )
        results.append(self.table.name, lines, self.given.results)
        for line in lines:
            value = results.DIVERGED if line.value is None else line.value
            print(
                f"{line.experiment}, seed {line.seed}: {line.name} {value}",
                flush=True,
            )


def _lines(job: Job, kind: str) -> list[str]:
    file = pathlib.Path(f"{job.folder}.{kind}")
    if not file.exists():
        return []
    return file.read_text("utf-8", errors="replace").splitlines()


def _last_line(job: Job) -> str:
    return (_lines(job, "errors") or ["no message"])[-1]


def arguments(given: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", choices=sorted(tables()))
    parser.add_argument("--data_dir", help="folder of prepared data sets")
    parser.add_argument(
        "--runs",
        type=pathlib.Path,
        default=results.ROOT / "runs" / "tables",
        help="folder of the run folders",
    )
    parser.add_argument(
        "--results",
        type=pathlib.Path,
        default=results.FOLDER,
        help="folder of the CSV files",
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="seeds; by default all"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count(),
        help="runs at a time; by default one on each core",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=90.0,
        help="after which runs are saved and stopped; the same command "
        "resumes them",
    )
    parser.add_argument(
        "--mix_commits",
        action="store_true",
        help="add to results of another commit",
    )
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> None:
    """Run a table."""
    read = arguments(sys.argv[1:] if given is None else given)
    if read.jobs < 1:
        raise argument_error("jobs", "at least 1", read.jobs)
    if not read.minutes > 0:
        raise argument_error("minutes", "positive", read.minutes)
    if read.seeds and min(read.seeds) < 0:
        raise argument_error("seeds", "at least 0", read.seeds)
    if read.data_dir is not None and not os.path.isdir(read.data_dir):
        raise argument_error("data_dir", "a folder", read.data_dir)
    # Runs are started in the folder of the project.
    read.runs = read.runs.resolve()
    if read.data_dir is not None:
        read.data_dir = os.path.abspath(read.data_dir)
    make_folder(read.runs, "runs")
    make_folder(read.results, "results")
    commit = results.code_commit()
    table = tables()[read.table]
    found, runner = counted(table, read.results), Runner(table, commit, read)
    if runner.waiting():
        results.check_commits(found, commit, read.mix_commits)
    sys.exit(runner.run())


if __name__ == "__main__":
    guarded(main)
