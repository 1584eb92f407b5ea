"""Auto-tune loop: train, remove blocks with conflicts, train again."""

import dataclasses
import functools
import json
import pathlib
import re
import statistics
import time
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import keras
import tensorflow as tf

from cb.auto_tuning.attempts import Attempt
from cb.auto_tuning.attempts import check_restart
from cb.bundles.shrink import random_blocks
from cb.callbacks.auto_tune import AutoTune
from cb.callbacks.slots import steps_done
from cb.costs import costs
from cb.distribute import collectives
from cb.distribute.variables import read
from cb.errors import InputError
from cb.files import replacing
from cb.layers.traversal import ordered_layers
from cb.layers.traversal import own_variables
from cb.metrics.samples import sample
from cb.registry import unknown

CONTROLS = ("full", "random")
BLOCK_PART = re.compile(r"block_(\d+)(_.*)?")


class Tuning(NamedTuple):
    """Result of auto-tune.

    Attributes:
        model: The Keras model of the attempt that finished.
        attempts: List of `Attempt` in order, controls last.
    """

    model: keras.Model
    attempts: list[Attempt]


def auto_tune(
    builder: Callable,
    train: Callable,
    data,
    batch_size: int,
    blocks: Sequence[int],
    evaluate: Callable | None = None,
    restarts: int = 20,
    directory=None,
    warm: bool = False,
    controls: Sequence[str] = (),
    seed: int = 0,
    strategy: tf.distribute.Strategy | None = None,
    **kwargs,
) -> Tuning:
    """Train an architecture, removing blocks until the last has no conflict.

    Args:
        builder: Callable from a tuple of block counts to a compiled Keras
            model. Layers that belong to block number `k`, from 1 on, are
            named `block_k` (its output) or `block_k_...`; with other names
            pass `layers` and leave `warm` alone.
        train: Callable `(model, callbacks, attempt)` that calls `model.fit`
            with these callbacks; `attempt` is an integer from 0 on.
        data: Examples for the checks, as in `BundleMonitor`.
        batch_size: Integer, examples of a training step.
        blocks: Integers, number of blocks of each type to start from.
        evaluate: Callable from a model to a dict of numbers, kept with each
            attempt.
        restarts: Integer, how many attempts may follow the first.
        directory: String, the folder of `attempts.json` and of the weights,
            `conflicting_layers.csv` and TensorBoard's files of every attempt.
            Another call with the same folder resumes after the last complete
            attempt.
        warm: Boolean, whether to restart with the weights of the surviving
            blocks.
        controls: Any of `"full"` (train the first architecture to its end)
            and `"random"` (train with as many randomly removed blocks), if
            blocks were removed.
        seed: Integer, of the checks and of the random control.
        strategy: `tf.distribute.Strategy` of the models, where several
            workers call this together; the chief alone reads and writes the
            folder.
        **kwargs: Other arguments of `AutoTune`, such as `rule`, `checks`,
            `when`, `tolerance`, `num_samples`, except `log_dir` and `path`.

    Returns:
        A `Tuning` with the model and all attempts.

    Raises:
        InputError: If an argument is wrong, or `directory` holds attempts
            that began with other blocks.
        AutoTuneError: If training diverged, nothing would be left or change,
            or there were too many restarts. Its `attempts` tell which.

    Example:

    >>> tuning = cb.auto_tune(
    ...     build,
    ...     lambda model, callbacks, attempt: model.fit(
    ...         x, y, batch_size=64, epochs=20, callbacks=callbacks
    ...     ),
    ...     data=(x, y),
    ...     batch_size=64,
    ...     blocks=(50,),
    ... )
    >>> tuning.attempts[-1].blocks

    Reference:

    - [Peer et al., 2021](https://arxiv.org/abs/2011.02956)
    """
    for control in controls:
        if control not in CONTROLS:
            raise unknown("control of auto-tune", control, CONTROLS)
    strategy = strategy or tf.distribute.get_strategy()
    store = _Store(directory, tuple(blocks), strategy)
    example, _ = sample(data, 1, seed)
    shape = keras.tree.map_structure(lambda array: array.shape[1:], example)
    run_attempt = functools.partial(
        _attempt, builder, train, evaluate, store, shape
    )
    model = store.load(builder) if store.attempts else None
    while store.unfinished():
        blocks, initialize = tuple(blocks), None
        if store.attempts:
            blocks = check_restart(store.attempts, restarts)
            if warm:
                kept = store.attempts[-1].kept
                initialize = functools.partial(transfer, model, kept=kept)
        callback = AutoTune(
            data, batch_size, blocks, seed=seed, **store.files(), **kwargs
        )
        model = run_attempt("tune", blocks, callback, initialize)
    start, number = store.attempts[0].blocks, sum(store.final().blocks)
    for kind in controls:
        made = [attempt.kind for attempt in store.attempts]
        # Where nothing was removed, a control would be the same again.
        if kind in made or number == sum(start):
            continue
        chosen = start
        if kind == "random":
            chosen = random_blocks(start, number, seed)
        run_attempt(kind, chosen)
    return Tuning(model, list(store.attempts))


def transfer(old: keras.Model, new: keras.Model, kept: Sequence[int]) -> None:
    """Copy the weights of surviving blocks and of the layers around them.

    Args:
        old: Keras model whose layers `block_1`, `block_1_...` and so on make
            up its blocks.
        new: Keras model of the blocks that stay, to be changed. Weights
            whose shape differs, as behind a block that halved the
            resolution, stay as they are.
        kept: Positions of the blocks that stay, from 0 on.

    Raises:
        InputError: If no layer has such a name.
    """
    sources = {layer.name: layer for layer in ordered_layers(old)}
    if not any(map(BLOCK_PART.fullmatch, sources)):
        raise InputError(
            "Argument `warm` needs layers named `block_1`, `block_1_...` and "
            f"so on. Received: a model with layers {list(sources)[1:]}"
        )
    for layer in ordered_layers(new):
        name, part = layer.name, BLOCK_PART.fullmatch(layer.name)
        if part:
            number = kept[int(part[1]) - 1] + 1
            name = f"block_{number}{part[2] or ''}"
        if name in sources:
            _copy(sources[name], layer)


def _copy(old, new):
    pairs = list(zip(own_variables(old), own_variables(new), strict=False))
    if all(source.shape == target.shape for source, target in pairs):
        for source, target in pairs:
            target.assign(read(source))


def _attempt(
    builder: Callable,
    train: Callable,
    evaluate: Callable | None,
    store: "_Store",
    input_shape: Any,
    kind: str,
    blocks: tuple[int, ...],
    callback: AutoTune | None = None,
    initialize: Callable[[keras.Model], None] | None = None,
) -> keras.Model:
    """Make one attempt, add it to the store and return its trained model."""
    model = builder(blocks)
    if initialize is not None:
        initialize(model)
    clock = _Clock()
    callbacks = [clock] if callback is None else [callback, clock]
    start = time.perf_counter()
    train(model, callbacks, len(store.attempts))
    seconds = time.perf_counter() - start
    counted = costs(model, input_shape=input_shape)
    results = evaluate(model) if evaluate else {}
    attempt = Attempt(
        kind=kind,
        blocks=blocks,
        parameters=counted.parameters,
        flops=counted.flops,
        steps=steps_done(model),
        seconds=seconds,
        step_seconds=clock.step_seconds(),
        results={name: float(value) for name, value in results.items()},
        **_findings(callback),
    )
    store.add(attempt, model)
    return model


def _findings(callback: AutoTune | None) -> dict[str, Any]:
    """Return the fields of an `Attempt` that its checks decide."""
    if callback is None:
        return {"outcome": "finished", "entropies": {}, "checks": 0}
    checks = callback.measurements
    return {
        "outcome": callback.outcome or "finished",
        "kept": callback.kept and tuple(callback.kept),
        "next_blocks": callback.next_blocks,
        "entropies": {m.layer: m.entropy for m in checks[-1]} if checks else {},
        "checks": len(checks),
    }


def _state(model) -> list[keras.Variable]:
    return [*model.variables, *model.optimizer.variables]


class _Clock(keras.callbacks.Callback):
    """Measures the time between the beginnings of steps."""

    def __init__(self):
        super().__init__()
        self._durations: list[float] = []
        self._last: float | None = None

    def on_epoch_begin(self, epoch, logs=None):
        self._last = None

    def on_train_batch_begin(self, batch, logs=None):
        now = time.perf_counter()
        if self._last is not None:
            steps = self.model.steps_per_execution
            self._durations.append((now - self._last) / steps)
        self._last = now

    def step_seconds(self) -> float | None:
        """Return the median, which tracing and checks hardly change."""
        return statistics.median(self._durations) if self._durations else None


class _Store:
    """Attempts and weights in a folder, or in memory only."""

    def __init__(self, directory, blocks, strategy):
        self._folder = None
        if directory and collectives.is_chief(strategy):
            self._folder = pathlib.Path(directory)
        self._strategy = strategy
        self.attempts = collectives.broadcast(
            strategy, lambda: self._read_attempts(blocks)
        )

    def _read_attempts(self, blocks) -> list[Attempt]:
        if not (self._folder and self._file.exists()):
            return []
        values = json.loads(self._file.read_text(encoding="utf-8"))
        attempts = [Attempt.from_dict(value) for value in values]
        if attempts[0].blocks != blocks:
            raise InputError(
                f"Folder {str(self._folder)!r} holds attempts that began with "
                f"blocks {attempts[0].blocks}. Received: blocks={blocks}"
            )
        return attempts

    def final(self) -> Attempt:
        """Return the last attempt that is not a control."""
        return [a for a in self.attempts if a.kind == "tune"][-1]

    def unfinished(self) -> bool:
        """Return whether an architecture is still to be found."""
        return not self.attempts or self.final().outcome != "finished"

    def files(self) -> dict[str, Any]:
        """Return the files of the next attempt's checks, by argument."""
        if self._folder is None:
            return {}
        folder = self._attempt(len(self.attempts))
        return {
            "path": folder / "conflicting_layers.csv",
            "log_dir": folder / "tensorboard",
        }

    def load(self, builder) -> keras.Model:
        """Rebuild the model of the final attempt, with its weights."""
        final = self.final()
        model = builder(final.blocks)
        # The saved weights include the optimizer's slots.
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)

        def weights():
            model.load_weights(self._weights(self.attempts.index(final)))
            return [read(variable) for variable in _state(model)]

        values = collectives.broadcast(self._strategy, weights)
        for variable, value in zip(_state(model), values, strict=True):
            variable.assign(value)
        return model

    def add(self, attempt: Attempt, model: keras.Model) -> None:
        """Keep an attempt; it counts only once it is complete."""
        self.attempts.append(attempt)
        if self._folder:
            weights = self._weights(len(self.attempts) - 1)
            weights.parent.mkdir(parents=True, exist_ok=True)
            model.save_weights(weights)
            values = [dataclasses.asdict(a) for a in self.attempts]
            with replacing(self._file) as opened:
                opened.write(json.dumps(values, indent=1).encode("utf-8"))

    @property
    def _file(self):
        return self._folder / "attempts.json"

    def _weights(self, number):
        return self._attempt(number) / "model.weights.h5"

    def _attempt(self, number):
        return self._folder / f"attempt_{number}"
