"""A run that is there already, opened to evaluate its checkpoints."""

import dataclasses
import functools
import os
import tempfile
from typing import Any

import keras

from cb import distribute
from cb.callbacks.training_state import model_variables
from cb.callbacks.training_state import write_all
from cb.errors import InputError
from cb.errors import argument_error
from cb.registry import parse_spec
from cb.runs.checkpoint import CheckpointFolder
from cb.runs.directory import RunDirectory
from cb.text import paragraph
from cb.training import assembly
from cb.training.data import Data
from cb.training.data import build_data
from cb.training.provenance import ACCEPTED
from cb.training.provenance import compared
from cb.training.provenance import described

# Names of checkpoints, and of several at once.
ALL, LAST_FIVE, INITIAL, LAST = "all", "last5", "initial", "last"
AVERAGED = 5


class OpenedRun:
    """The folder of a run, with its data and its model.

    Data and model take a while to build, so they are built when first used,
    after all arguments have been checked.

    Args:
        run_dir: String, the run folder.
        checkpoint: `"last"`, `"best"`, `"initial"` or the number of an epoch;
            or several: `"all"` for the initial one, all numbered ones and
            the last, `"last5"` for the last five of these.
        data_dir: String, folder of the data, if not the run's.
        strategy: Spec of a strategy.
        accept_changed_data: Boolean, whether to score on data that are not
            those of the run.
        attempt: Integer, which attempt of an auto-tuned run; the final one
            by default.

    Attributes:
        directory: `RunDirectory`.
        config: `Config` of the run.
        checkpoint: As given.

    Raises:
        InputError: If the folder, the attempt or the checkpoint does not
            exist, or the strategy needs several machines.
    """

    def __init__(
        self,
        run_dir: str,
        checkpoint: str = LAST,
        data_dir: str | None = None,
        strategy: str = "auto",
        attempt: int | None = None,
        accept_changed_data: bool = False,
    ):
        if parse_spec(strategy).name == "multi_worker":
            raise InputError(
                "A run of several machines is evaluated on one. Expected "
                f"`none` or `mirrored`. Received: strategy={strategy!r}"
            )
        self.directory = RunDirectory(attempt_folder(run_dir, attempt))
        self.config = self.directory.read_config()
        if data_dir is not None:
            self.config = dataclasses.replace(self.config, data_dir=data_dir)
        self.checkpoint = checkpoint
        self._accept_changed_data = accept_changed_data
        # Whether changes were accepted, once `data` has been read.
        self.data_changed = False
        self._strategy_spec = strategy
        self._folder = CheckpointFolder(self.directory.checkpoints)
        for name in self.checkpoints():
            self._folder.require(name)

    @functools.cached_property
    def results(self) -> RunDirectory:
        """The folder for what is measured: the run's, if it can be written."""
        kept = self.directory.evaluation_file
        files = os.access(kept, os.W_OK) or not kept.exists()
        if files and self.directory.is_writable():
            return self.directory
        folder = tempfile.mkdtemp(prefix="evaluation_")
        print(
            f"{self.directory.path} cannot be written; results are kept in "
            f"{folder}"
        )
        return RunDirectory(folder)

    @functools.cached_property
    def data(self) -> Data:
        """The `Data` of the run.

        Raises:
            InputError: If they have changed.
        """
        replicas = self._strategy.num_replicas_in_sync
        data = build_data(self.config, replicas)
        found = described(data.source, data.examples, data.held_out)
        for line in compared(
            self.directory, {"data": found}, self._accept_changed_data
        ):
            print(paragraph(line), flush=True)
            self.data_changed |= line.endswith(ACCEPTED)
        return data

    @functools.cached_property
    def model(self) -> keras.Model:
        """The compiled Keras model, with the checkpoint loaded last."""
        config = assembly.for_checkpoint(self.config)
        return assembly.build_compiled_model(config, self.data, self._strategy)

    @functools.cached_property
    def _strategy(self):
        return distribute.build(self._strategy_spec)

    @property
    def has_several(self) -> bool:
        """Whether `checkpoint` names several of them."""
        return self.checkpoint in (ALL, LAST_FIVE)

    def checkpoints(self) -> list[str]:
        """List the names of the chosen checkpoints, oldest first.

        `best` repeats one of the others and is not among several.
        """
        if not self.has_several:
            return [self.checkpoint]
        numbered = [name for name in self._folder.names() if name.isdigit()]
        trained = [*numbered, LAST]
        meta = self._folder.load(LAST).meta
        if str(meta["epoch"]) in numbered and not meta["batch"]:
            trained.remove(LAST)
        if self.checkpoint == LAST_FIVE:
            return trained[-AVERAGED:]
        return [INITIAL, *trained]

    def load(self, name: str) -> dict[str, Any]:
        """Load the weights of a checkpoint into the model.

        Args:
            name: String, name of one checkpoint.

        Returns:
            Dict, the checkpoint's meta data: step, epoch and so on.
        """
        arrays, meta = self._folder.load(name)
        write_all(model_variables(self.model), arrays, averaged=True)
        return meta

    def require_single(self, flag: str) -> None:
        """Raise `InputError` if `checkpoint` names several.

        Args:
            flag: String, the flag that needs a single checkpoint.
        """
        if self.has_several:
            expected = f"a single checkpoint with `--{flag}`"
            raise argument_error("checkpoint", expected, self.checkpoint)


def attempt_folder(run_dir: str, attempt: int | None) -> str:
    """Return the folder of an attempt of an auto-tuned run.

    Args:
        run_dir: String, a run folder, auto-tuned or not.
        attempt: Integer; `None` for the final one.

    Returns:
        String, a folder; of a run that is not auto-tuned, its own.

    Raises:
        InputError: If there is no such attempt.
    """
    run = RunDirectory(run_dir)
    if parse_spec(run.read_config().auto_tune).name == "none":
        if attempt is not None:
            raise InputError(
                "Argument `attempt` needs the folder of an auto-tuned run. "
                f"Received: attempt={attempt}, run_dir={run_dir!r}"
            )
        return run_dir
    if attempt is not None:
        return str(run.attempt(attempt).path)
    if run.read_summary() is None:
        raise InputError(
            f"Auto-tune in {run_dir!r} has found no architecture. "
            "Expected `--attempt` with the number of an attempt."
        )
    return str(run.final().path)
