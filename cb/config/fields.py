"""Everything that a run depends on, with the ranges of its values."""

import ast
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import typing
from typing import Any

from cb.errors import InputError
from cb.registry import parse_spec
from cb.registry import unknown
from cb.schedules import Time
from cb.sparsity.amount import as_text
from cb.sparsity.amount import parse_sparsity

DTYPES = ("float32", "mixed_bfloat16", "mixed_float16")

# Where a run lives and how it is watched; two runs that differ in nothing
# else are the same run.
NOT_IDENTITY = (
    "checkpoint_every",
    "data_dir",
    "data_workers",
    "job_idx",
    "name",
    "print_every",
    "run_dir",
    "save_every",
    "show_input",
    "worker_hosts",
    "worker_index",
    "worker_timeout",
)
SPECS = (
    "auto_tune",
    "dataset",
    "distribution",
    "granularity",
    "kernels",
    "learning_rate_schedule",
    "model",
    "normalization",
    "optimizer",
    "reallocation",
    "regularization",
    "strategy",
    "weight_sharing",
)
AT_LEAST_1 = (
    "batch_size",
    "data_workers",
    "epochs",
    "gradient_accumulation",
    "limit_examples",
    "print_every",
    "reference_batch_size",
)
AT_LEAST_0 = (
    "checkpoint_every",
    "initial_epoch",
    "mixup",
    "multiplicative_noise",
    "seed",
    "validation_examples",
    "warmup_epochs",
    "weight_distance",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that a training run depends on.

    A field is a flag of the same name, documented there. Fields of `SPECS`
    hold a part's name with its hyperparameters.

    Raises:
        InputError: If a value has the wrong type or is out of range.
    """

    dataset: str = "digits"
    data_dir: str | None = None
    validation_fraction: float = 0.1
    validation_examples: int | None = None
    fold: str | None = None
    limit_examples: int | None = None
    augmentation: str = "auto"
    data_workers: int | None = None
    show_input: bool = False
    model: str = "mlp"
    normalization: str = "batch"
    sparsity: float | str = "0.9"
    distribution: str = "erk"
    rounding: str = "total"
    granularity: str = "weight"
    include: list[str] | None = None
    exclude: list[str] | None = None
    regularization: str = "none"
    weight_sharing: str = "none"
    kernels: str = "masked"
    reallocation: str = "rigl"
    optimizer: str = "sgd(momentum=0.9, nesterov=True)"
    learning_rate: float = 0.1
    learning_rate_schedule: str = "cosine"
    regime: str = "none"
    momentum_reset: str = "renewal"
    learning_rate_scaling: str = "none"
    reference_batch_size: int | None = None
    regime_adaptation: bool = False
    warmup_epochs: float = 0.0
    global_clipnorm: float | None = None
    gradient_accumulation: int = 1
    label_smoothing: float = 0.0
    mixup: float = 0.0
    multiplicative_noise: float = 0.0
    batch_size: int = 50
    epochs: int = 30
    seed: int = 0
    dtype: str = "float32"
    strategy: str = "auto"
    worker_hosts: list[str] | None = None
    worker_index: int | None = None
    worker_timeout: float = 300.0
    run_dir: str | None = None
    name: str | None = None
    job_idx: int | None = None
    initialize_from: str | None = None
    initial_epoch: int = 0
    checkpoint_every: int = 0
    save_every: Time = "1ep"
    print_every: int = 100
    evaluate_train: bool = False
    weight_distance: int = 0
    auto_tune: str = "none"

    def __post_init__(self):
        hints = typing.get_type_hints(Config)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            converted = _converted(field.name, value, hints[field.name])
            object.__setattr__(self, field.name, converted)
        self._check_ranges()
        for name in SPECS:
            parse_spec(getattr(self, name))

    def _check_ranges(self):
        parse_sparsity(self.sparsity)
        part = self.validation_fraction
        _check(self, "validation_fraction", 0.0 <= part < 1.0, "in [0, 1)")
        _check(self, "learning_rate", self.learning_rate > 0.0, "positive")
        _check(self, "worker_timeout", self.worker_timeout > 0.0, "positive")
        clip = self.global_clipnorm
        _check(self, "global_clipnorm", clip is None or clip > 0.0, "positive")
        smooth = 0.0 <= self.label_smoothing <= 1.0
        _check(self, "label_smoothing", smooth, "in [0, 1]")
        for least, names in ((1, AT_LEAST_1), (0, AT_LEAST_0)):
            for name in names:
                value = getattr(self, name)
                good = value is None or value >= least
                _check(self, name, good, f"at least {least}")
        if self.initial_epoch >= self.epochs:
            raise InputError(
                "Argument `initial_epoch` must be less than `epochs`. "
                f"Received: initial_epoch={self.initial_epoch}, "
                f"epochs={self.epochs}"
            )
        if self.dtype not in DTYPES:
            raise unknown("dtype", self.dtype, DTYPES)

    @property
    def update_batch(self) -> int:
        """The examples that one update of the weights sees."""
        return self.batch_size * self.gradient_accumulation

    def as_dict(self) -> dict[str, Any]:
        """Return all fields as values that JSON can hold."""
        return dataclasses.asdict(self)

    def identity(self) -> dict[str, Any]:
        """Return the fields that make two runs the same run."""
        return {
            key: value
            for key, value in self.as_dict().items()
            if key not in NOT_IDENTITY
        }

    def short_hash(self) -> str:
        """Return eight hexadecimal digits that stand for the identity."""
        text = json.dumps(self.identity(), sort_keys=True)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()[:8]

    def differences(self, other: "Config") -> list[str]:
        """List the fields in which the identities differ, as lines."""
        mine, others = self.identity(), other.identity()
        return [
            f"{key}: {mine[key]!r} is not {others[key]!r}"
            for key in mine
            if mine[key] != others[key]
        ]


def _converted(name: str, value: Any, hint: Any) -> Any:
    """Return the value as its field's type, or refuse it."""
    kinds = typing.get_args(hint) or (hint,)
    if typing.get_origin(hint) is list:
        kinds = (hint,)
    if list[str] in kinds and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if name == "sparsity" and isinstance(value, dict):
        value = as_text(value)
    if str in kinds and float in kinds and isinstance(value, str):
        # A time or a number that came from the command line as text.
        with contextlib.suppress(ValueError, SyntaxError):
            value = ast.literal_eval(value)
    if float in kinds and int not in kinds and type(value) is int:
        value = float(value)
    plain = tuple(typing.get_origin(kind) or kind for kind in kinds)
    if type(value) not in plain:
        expected = " or ".join(
            "None" if kind is type(None) else kind.__name__ for kind in plain
        )
        raise InputError(
            f"Argument `{name}` must be of type {expected}. "
            f"Received: {name}={value!r}"
        )
    return value


def _check(config: Config, name: str, good: bool, expected: str) -> None:
    if not good:
        value = getattr(config, name)
        raise InputError(
            f"Argument `{name}` must be {expected}. Received: {name}={value!r}"
        )


def default_run_dir(config: Config) -> str:
    """Return `runs/<name or model>[_<job_idx>]_<hash>`."""
    model = pathlib.Path(parse_spec(config.model).name)
    name = config.name or model.stem
    parts = [name, config.short_hash()]
    if config.job_idx is not None:
        parts.insert(1, str(config.job_idx))
    return os.path.join("runs", "_".join(parts))
