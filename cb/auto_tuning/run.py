"""A run that removes the blocks of its model which stop it from learning."""

import dataclasses
import time
from typing import Any

import keras

from cb.auto_tuning.attempts import Attempt
from cb.auto_tuning.loop import auto_tune
from cb.auto_tuning.loop import check_controls
from cb.bundles.settings import REGISTRY
from cb.callbacks.auto_tune import AutoTune
from cb.config import Config
from cb.conversion import Report
from cb.distribute import collectives
from cb.distribute.collectives import assert_equal
from cb.errors import InputError
from cb.models.bundle_network import DEPTHS
from cb.registry import Spec
from cb.registry import parse_spec
from cb.runs.directory import RunDirectory
from cb.training import assembly
from cb.training import compilation
from cb.training.compilation import training_step
from cb.training.data import build_data
from cb.training.data import training_sample
from cb.training.train import Start
from cb.training.train import complete
from cb.training.train import started_on_all


def tune(config: Config, sources: dict[str, str]) -> dict[str, Any]:
    """Train, remove blocks and train again, or go on with it.

    Every attempt is a run of its own in the folders `attempt_0` and so on.
    The bundles are those of the highest learning rate, as in
    `cb.evaluation.conflicts`.

    Args:
        config: `Config` whose `auto_tune` is not `"none"`.
        sources: Dict of field to where its value came from.

    Returns:
        Dict, the summary that is printed and kept in `summary.json`.

    Raises:
        InputError: If the configuration cannot be run; nothing is written.
        RunError: If no attempt can follow the ones made.
    """
    with started_on_all(config, sources) as start:
        return _tune(start)


def _tune(start: Start) -> dict[str, Any]:
    config, sources, strategy, run, _ = start
    started = time.monotonic()
    settings = dataclasses.asdict(REGISTRY.build(config.auto_tune))
    check_controls(settings["controls"])
    blocks = blocks_of(config)
    summary = collectives.broadcast(
        strategy, lambda: known_summary(run, config)
    )
    if summary:
        print(f"Finished already, nothing to do: {run.path}")
        print_tuning(summary)
        return summary
    trainer = _Trainer(start)
    source = trainer.data.source
    assert_equal(strategy, {"data": source.digest()})
    sample = training_sample(config, trainer.data, settings["num_samples"])
    common = {
        "data": sample,
        "blocks": blocks,
        **training_step(config),
        "num_classes": source.num_classes,
        "seed": config.seed,
    }
    own = ("restarts", "warm", "controls")
    gate = {key: settings[key] for key in settings if key not in own}
    # Mistakes show before anything is written.
    AutoTune(**common, **gate)
    with run.locked():
        run.write_config(config, sources)
        tuning = auto_tune(
            trainer.build,
            trainer.fit,
            evaluate=trainer.evaluate,
            directory=run.path,
            strategy=strategy,
            **common,
            **settings,
        )
        summary = summarize(config, run, tuning.attempts)
        summary["seconds"] = round(time.monotonic() - started, 1)
        run.write_summary(summary)
    print_tuning(summary)
    return summary


class _Trainer:
    """Builds, trains and scores the model of each attempt."""

    def __init__(self, start):
        config, self._sources, self._scope, self._run, self._stop_requested = (
            start
        )
        self._config = config
        self._model_spec = config.model
        self.data = build_data(config, self._scope.num_replicas_in_sync)

    def build(self, blocks: tuple[int, ...]) -> keras.Model:
        spec = parse_spec(self._config.model)
        kwargs = {**spec.kwargs, "blocks": blocks}
        self._model_spec = str(Spec(spec.name, (), kwargs))
        config = dataclasses.replace(self._config, model=self._model_spec)
        self._reports: list[Report] = []
        with self._scope.scope():
            model = assembly.build_model(
                config, self.data.source, self._reports.append
            )
            compilation.compile_model(
                model,
                config,
                self.data.training_length(),
                self.data.source.num_classes,
            )
        return model

    def fit(self, model, callbacks, attempt: int) -> None:
        run = self._run.attempt(attempt)
        config = dataclasses.replace(
            self._config,
            model=self._model_spec,
            auto_tune="none",
            run_dir=str(run.path),
        )
        print(f"Attempt {attempt}: {self._model_spec}", flush=True)
        started = time.monotonic()
        complete(
            model,
            self._reports,
            config,
            self._sources,
            self.data,
            run,
            started,
            self._stop_requested,
            callbacks,
        )

    def evaluate(self, model) -> dict[str, float]:
        return model.evaluate(self.data.test, return_dict=True, verbose=0)


def blocks_of(config: Config) -> tuple[int, ...]:
    """Return the number of blocks of each type to start from.

    Args:
        config: `Config`, complete.

    Returns:
        Tuple of integers.

    Raises:
        InputError: If the model has no blocks, or the run is no fresh one.
    """
    kwargs = parse_spec(config.model).kwargs
    if "blocks" not in kwargs or kwargs.get("lesion"):
        raise InputError(
            "Argument `auto_tune` needs a model with `blocks`, such as fnn, "
            "bundle_vgg or bundle_resnet, and none of them left out. "
            f"Received: model={config.model!r}"
        )
    for name in ("initialize_from", "initial_epoch"):
        if getattr(config, name):
            raise InputError(
                "Argument `auto_tune` needs a training from the beginning. "
                f"Received: {name}={getattr(config, name)!r}"
            )
    blocks = kwargs["blocks"]
    if blocks is None:
        if kwargs["depth"] not in DEPTHS:
            raise InputError(
                f"Argument `depth` must be one of {list(DEPTHS)}. "
                f"Received: depth={kwargs['depth']!r}"
            )
        return DEPTHS[kwargs["depth"]]
    return (blocks,) if isinstance(blocks, int) else tuple(blocks)


def known_summary(run: RunDirectory, config: Config) -> dict[str, Any] | None:
    """Return the summary of the folder, if this very run finished in it.

    Raises:
        InputError: If the folder holds another run.
    """
    if not run.check(config):
        return None
    before = run.read_config().epochs
    if before != config.epochs:
        raise InputError(
            "An auto-tuned run cannot be made longer; go on with its final "
            f"attempt. Received: epochs={config.epochs}, which was {before}"
        )
    return run.read_summary()


def summarize(
    config: Config, run: RunDirectory, attempts: list[Attempt]
) -> dict[str, Any]:
    """Return what is worth knowing of all attempts.

    The first architecture is that of the control that trained it to its end,
    if there is one.
    """
    kinds = [attempt.kind for attempt in attempts]
    final = len(kinds) - 1 - kinds[::-1].index("tune")
    before = kinds.index("full") if "full" in kinds else 0
    return {
        "epochs": config.epochs,
        "attempts": [dataclasses.asdict(attempt) for attempt in attempts],
        "first_attempt": before,
        "final_attempt": final,
        "test": attempts[final].results,
        "run_dir": str(run.path),
    }


def print_tuning(summary: dict[str, Any]) -> None:
    """Print one line an attempt, and where the final one is."""
    print()
    for number, attempt in enumerate(summary["attempts"]):
        step = attempt["step_seconds"]
        milliseconds = "unknown" if step is None else f"{1e3 * step:.2f} ms"
        print(
            f"attempt {number} ({attempt['kind']}): blocks "
            f"{tuple(attempt['blocks'])}  {attempt['outcome']}  parameters "
            f"{attempt['parameters']:,}  FLOPs {attempt['flops']:,}  step "
            f"{milliseconds}  test accuracy "
            f"{attempt['results']['accuracy']:.4f}"
        )
    _print_saved(summary)
    path, final = summary["run_dir"], summary["final_attempt"]
    print(f"final run    {path}/attempt_{final}, {summary['seconds']} s in all")


def _print_saved(summary: dict[str, Any]) -> None:
    places = summary["first_attempt"], summary["final_attempt"]
    if places[0] == places[1]:
        print("no block was removed")
        return
    before, after = (summary["attempts"][place] for place in places)
    names = {
        "parameters": "parameters",
        "flops": "FLOPs",
        "step_seconds": "time of a step",
    }
    ratios = [
        f"{text} {after[name] / before[name]:.3g}"
        for name, text in names.items()
        if after[name] and before[name]
    ]
    scores = [attempt["results"]["accuracy"] for attempt in (before, after)]
    print(
        f"attempt {places[1]} of attempt {places[0]}: "
        + "  ".join(ratios)
        + f"  test accuracy {scores[0]:.4f} -> {scores[1]:.4f}"
    )
