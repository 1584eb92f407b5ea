"""Auto-tuned run: removes the blocks that stop its model from learning."""

import dataclasses
import time
from typing import Any

import keras

from cb.auto_tuning.attempts import Attempt
from cb.auto_tuning.loop import auto_tune
from cb.bundles.settings import complete
from cb.callbacks.auto_tune import AutoTune
from cb.config import Config
from cb.distribute import collectives
from cb.errors import InputError
from cb.errors import argument_error
from cb.models.bundle_network import DEPTHS
from cb.registry import Spec
from cb.registry import parse_spec
from cb.runs.directory import RunDirectory
from cb.text import wrapped
from cb.training.compilation import training_step
from cb.training.data import training_sample
from cb.training.run import TrainingRun
from cb.training.train import joined_run

# Numbers of an attempt that are compared with the first one's.
RATIOS = {
    "parameters": "parameters",
    "flops": "FLOPs",
    "step_seconds": "time of a step",
}


def tune(config: Config, sources: dict[str, str]) -> dict[str, Any]:
    """Train, remove blocks and train again, or resume.

    Every attempt is a run of its own in the folders `attempt_0` and so on.
    The bundles are those of the highest learning rate, as in
    `cb.evaluation.conflicts`.

    Args:
        config: `Config` whose `auto_tune` is not `"none"`.
        sources: Dict of field to the origin of its value.

    Returns:
        Dict, the summary that is printed and kept in `summary.json`.

    Raises:
        InputError: If the configuration cannot be run; nothing is written.
        RunError: If no attempt can follow the ones made.
    """
    with joined_run(config, sources) as run:
        settings = complete(run.config.auto_tune).kwargs
        blocks = blocks_of(run.config)
        summary = collectives.broadcast(
            run.strategy, lambda: finished_summary(run.directory, run.config)
        )
        if summary:
            run.check_finished()
            print(f"Finished already, nothing to do: {run.directory.path}")
        else:
            summary = _tune(run, blocks, settings)
        print_tuning(summary)
        return summary


def _tune(
    run: TrainingRun, blocks: tuple[int, ...], settings: dict[str, Any]
) -> dict[str, Any]:
    started = time.monotonic()
    config, data, directory = run.config, run.data, run.directory
    common = {
        "data": training_sample(config, data, settings["num_samples"]),
        "blocks": blocks,
        **training_step(config, data.training_length()),
        "num_classes": data.source.num_classes,
        "seed": config.seed,
    }
    gate = dict(settings)
    for of_loop in ("restarts", "warm", "controls"):
        del gate[of_loop]
    # Mistakes show before anything is written.
    AutoTune(**common, **gate)
    attempts = _Attempts(run)
    with directory.locked():
        directory.write_config(config, run.sources, run.start)
        tuning = auto_tune(
            attempts.build,
            attempts.fit,
            evaluate=attempts.evaluate,
            directory=directory.path,
            strategy=run.strategy,
            **common,
            **settings,
        )
        summary = summarize(config, directory, tuning.attempts)
        summary["seconds"] = round(time.monotonic() - started, 1)
        directory.write_summary(summary)
    return summary


class _Attempts:
    """The callables of `auto_tune`: each attempt is a run of its own."""

    def __init__(self, run: TrainingRun):
        self._run = run
        self._attempt = run

    def build(self, blocks: tuple[int, ...]) -> keras.Model:
        spec = parse_spec(self._run.config.model)
        model = Spec(spec.name, (), {**spec.kwargs, "blocks": blocks})
        self._attempt = self._run.replaced(model=str(model), auto_tune="none")
        return self._attempt.build()

    def fit(self, model, callbacks, attempt: int) -> None:
        del model
        folder = self._run.directory.attempt(attempt)
        run = self._attempt.replaced(run_dir=str(folder.path))
        print(f"Attempt {attempt}: {run.config.model}", flush=True)
        run.train(callbacks)

    def evaluate(self, model) -> dict[str, float]:
        del model
        return self._attempt.evaluate()


def blocks_of(config: Config) -> tuple[int, ...]:
    """Return the number of blocks of each type to start from.

    Args:
        config: `Config`, complete.

    Returns:
        Tuple of integers.

    Raises:
        InputError: If the model has no blocks, or training does not start
            from the beginning.
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
        depth = kwargs["depth"]
        if depth not in DEPTHS:
            raise argument_error("depth", f"one of {list(DEPTHS)}", depth)
        return DEPTHS[depth]
    return (blocks,) if isinstance(blocks, int) else tuple(blocks)


def finished_summary(
    run: RunDirectory, config: Config
) -> dict[str, Any] | None:
    """Return the summary of the folder, if this run has finished in it.

    Raises:
        InputError: If the folder holds another run.
    """
    if not run.check(config):
        return None
    before = run.read_config().epochs
    if before != config.epochs:
        raise InputError(
            "An auto-tuned run cannot be made longer; continue its final "
            f"attempt. Received: epochs={config.epochs}, which was {before}"
        )
    return run.read_summary()


def summarize(
    config: Config, run: RunDirectory, attempts: list[Attempt]
) -> dict[str, Any]:
    """Summarize all attempts.

    The final attempt is compared with the control that trained the first
    architecture to its end, or else with the first attempt.
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
    """Print one line for each attempt, and the folder of the final one."""
    print()
    for number, attempt in enumerate(summary["attempts"]):
        step = attempt["step_seconds"]
        milliseconds = "unknown" if step is None else f"{1e3 * step:.2f} ms"
        parts = (
            f"attempt {number} ({attempt['kind']}): "
            f"blocks {tuple(attempt['blocks'])}",
            attempt["outcome"],
            f"parameters {attempt['parameters']:,}",
            f"FLOPs {attempt['flops']:,}",
            f"step {milliseconds}",
            f"test accuracy {attempt['results']['accuracy']:.4f}",
        )
        print(wrapped(parts))
    _print_saved(summary)
    path, final = summary["run_dir"], summary["final_attempt"]
    print(f"final run    {path}/attempt_{final}, {summary['seconds']} s in all")


def _print_saved(summary: dict[str, Any]) -> None:
    first, final = summary["first_attempt"], summary["final_attempt"]
    if first == final:
        print("no block was removed")
        return
    before, after = (summary["attempts"][place] for place in (first, final))
    ratios = [
        f"{text} {after[name] / before[name]:.3g}"
        for name, text in RATIOS.items()
        if after[name] and before[name]
    ]
    scores = [attempt["results"]["accuracy"] for attempt in (before, after)]
    ratios[0] = f"attempt {final} of attempt {first}: {ratios[0]}"
    accuracies = f"test accuracy {scores[0]:.4f} -> {scores[1]:.4f}"
    print(wrapped([*ratios, accuracies]))
