"""Flags of `evaluate.py`, and the modes that they choose."""

import dataclasses
import importlib
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from absl import flags

from cb.errors import InputError

from .quiet import keras_imported


class _PositiveIntegers(flags.ListParser):
    """Parser of integers, separated by commas."""

    is_list = True

    def parse(self, argument):
        texts = super().parse(argument)
        numbers = [int(text) if text.isdecimal() else 0 for text in texts]
        if not numbers or min(numbers) < 1:
            raise ValueError("must be positive integers, such as 1,128")
        return numbers


flags.DEFINE_string(
    "checkpoint",
    None,
    "last, best, initial or the number of an epoch; or several: last5, or all "
    "(initial, numbered and last). For several, the mean score of the last "
    "five is added. Default: last, or all to measure conflicting layers.",
)
flags.DEFINE_integer(
    "attempt",
    None,
    "Which attempt of an auto-tuned run; by default the final one.",
    lower_bound=0,
)
flags.DEFINE_string("data_dir", None, "Folder of prepared data sets.")
flags.DEFINE_string(
    "strategy", "auto", "Devices, as in training: auto, none, mirrored(...)."
)
flags.DEFINE_integer(
    "conflicting_samples_size",
    None,
    "Number of training examples to measure bundles with, 64 by default; "
    "without --all_conflict_layers, only of the last layer.",
    lower_bound=1,
)
flags.DEFINE_enum(
    "amplitude",
    None,
    ["layer", "model"],
    "Weights that bundles are measured by: those that the activations meet "
    "next, or all of the model, as published. Default: layer, or model with "
    "--published_columns.",
)
flags.DEFINE_list(
    "conflict_layers",
    None,
    "Layers to measure instead of all or the last: patterns of names, such as "
    "pool for the pooled vector; or branches, or published (the blocks, with "
    "the branches of residual ones).",
)
flags.DEFINE_bool(
    "published_columns",
    None,
    "Also write test.csv and conflicting_layers.csv with the columns of the "
    "published code, into the folder published/ of the run; of residual "
    "networks branches are measured too.",
)
flags.DEFINE(
    _PositiveIntegers(),
    "export_batch_sizes",
    "1,128",
    "Examples in a call, for --export.",
    serializer=flags.CsvListSerializer(","),
)
flags.DEFINE_enum(
    "export_goal",
    None,
    ["speed", "size"],
    "What --export=auto chooses by. Default: speed.",
)
flags.DEFINE_bool(
    "accept_changed_data",
    False,
    "Score a run on data that are not those that it was trained with.",
)
flags.DEFINE_string("dataset", None, "Data set for --saved_model.")
flags.DEFINE_string(
    "augmentation",
    None,
    "Augmentation that the --saved_model was trained with; default: that of "
    "the run in whose folder it is, or none.",
)
flags.DEFINE_integer(
    "batch_size", 100, "Examples in a batch, for --saved_model.", lower_bound=1
)

OF_RUNS = (
    "run_dir",
    "checkpoint",
    "data_dir",
    "strategy",
    "attempt",
    "accept_changed_data",
)
OF_SAVED_MODELS = {
    "saved_model": "path",
    "dataset": "dataset",
    "data_dir": "data_dir",
    "batch_size": "batch_size",
    "augmentation": "augmentation",
    "accept_changed_data": "accept_changed_data",
}
OF_LESIONS = {
    "lesion": "study",
    "conflicting_samples_size": "num_samples",
    "amplitude": "amplitude",
}
OF_EXPORTS = {
    "export": "form",
    "export_batch_sizes": "batch_sizes",
    "export_goal": "goal",
}
OF_CONFLICTS = {
    "all_conflict_layers": "all_layers",
    "conflicting_samples_size": "num_samples",
    "published_columns": "published_columns",
    "amplitude": "amplitude",
    "conflict_layers": "layers",
}


@dataclasses.dataclass(frozen=True)
class Mode:
    """A row in the table of what `evaluate.py` does.

    Args:
        flag: String, the flag that chooses the mode. The row defines it.
        function: String `"module:name"` in `cb.evaluation`, a function of an
            `OpenedRun`, if `needs` names `run_dir`, and the arguments.
        arguments: Dict of flag to argument of the function; only flags that
            are given are passed on. Flags that are neither here nor in
            `OF_RUNS` are refused.
        help: String, of the flag.
        boolean: Boolean, whether the flag is one rather than text.
        checkpoint: String, the default of `--checkpoint`.
        chosen_by: Other flags that choose the mode.
        needs: Flags that must be given.
    """

    flag: str
    function: str
    arguments: Mapping[str, str]
    help: str
    boolean: bool = False
    checkpoint: str = "last"
    chosen_by: Collection[str] = ()
    needs: Collection[str] = ("run_dir",)

    def __post_init__(self):
        define = flags.DEFINE_bool if self.boolean else flags.DEFINE_string
        define(self.flag, None, self.help)

    def chooser(self) -> str | None:
        """Return the flag that was given to choose the mode, if any."""
        if _is_given(self.flag) and flags.FLAGS[self.flag].value is not False:
            return self.flag
        return next((name for name in self.chosen_by if _is_given(name)), None)

    def takes(self) -> tuple[str, ...]:
        """Return the names of the flags that have a meaning in the mode."""
        of_run = OF_RUNS if "run_dir" in self.needs else ()
        return (self.flag, *self.arguments, *of_run)

    def evaluate(self) -> None:
        """Call the function with the flags that are given."""
        module, _, name = self.function.partition(":")
        with keras_imported():
            found = importlib.import_module(f"cb.evaluation.{module}")
            from cb.evaluation.opened_run import OpenedRun
        opened = []
        if "run_dir" in self.needs:
            given = _given(dict(zip(OF_RUNS, OF_RUNS, strict=True)))
            opened = [OpenedRun(**{"checkpoint": self.checkpoint, **given})]
        getattr(found, name)(*opened, **_given(self.arguments))


def chosen(modes: Sequence[Mode]) -> Mode:
    """Return the first mode that is chosen by the flags.

    Args:
        modes: List of `Mode`.

    Raises:
        InputError: If there is none, or a flag is missing or has no meaning
            in it.
    """
    mode = next((mode for mode in modes if mode.chooser()), None)
    if mode is None:
        raise InputError(
            "Expected either `--run_dir` or `--saved_model`. Received: neither"
        )
    chooser = str(mode.chooser())
    unused = [
        (name, other.flag)
        for other in reversed(modes)
        for name in other.takes()
        if _is_given(name) and name not in mode.takes()
    ]
    for name, other in unused:
        both = f"Received: {_text(chooser)}, {_text(name)}"
        if name == other:
            raise InputError(
                f"Expected `--{chooser}` or `--{name}`, not both. {both}"
            )
        raise InputError(f"Argument `{name}` needs `--{other}`. {both}")
    for name in mode.needs:
        if not _is_given(name):
            raise InputError(
                f"Argument `{chooser}` needs `--{name}`. "
                f"Received: {_text(chooser)}"
            )
    return mode


def _is_given(name: str) -> bool:
    flag = flags.FLAGS[name]
    return bool(flag.present) and flag.value is not None


def _given(arguments: Mapping[str, str]) -> dict[str, Any]:
    return {
        argument: flags.FLAGS[name].value
        for name, argument in arguments.items()
        if _is_given(name)
    }


def _text(name: str) -> str:
    return f"{name}={flags.FLAGS[name].value!r}"
