"""Profile: costs and latency of a trained model, beside its scores."""

from cb.conversion import strip
from cb.costs import Costs
from cb.costs import Counter
from cb.costs import Latency
from cb.costs import micronet
from cb.costs import model_latency
from cb.costs.files import file_bytes
from cb.evaluation.opened_run import OpenedRun
from cb.evaluation.scores import average_last
from cb.evaluation.scores import evaluate_each
from cb.runs.evaluation_csv import record
from cb.training import compilation
from cb.training.run_costs import recorded

# Names of scores in the published summary line.
PERCENTAGES = {"accuracy": "val.top1", "top_5_accuracy": "val.top5"}


def evaluate_profile(run: OpenedRun) -> list[Costs]:
    """Score checkpoints of a run and print what the model costs.

    Costs are appended to `evaluation.csv`. The latency is that of the model
    without masks, at a batch of one.

    Args:
        run: `OpenedRun`.

    Returns:
        List of `Costs`, one for each checkpoint.
    """
    shape = run.data.source.input_shape
    counter = Counter(run.model, shape)
    epochs = compilation.epochs(run.config)
    export = run.directory.export
    if export.is_dir():
        print(f"SavedModel: {file_bytes(export):,} bytes")
    results, profiles = [], []
    for number, result in enumerate(evaluate_each(run)):
        found = counter.costs()
        latency = model_latency(strip(run.model), 1, shape)
        print_profile(found, counter.costs("dnw"), latency)
        print(summary_line(number, epochs, result.scores))
        record(run.results, result.name, "costs", recorded(found))
        results.append(result)
        profiles.append(found)
    average_last(run, results)
    return profiles


def print_profile(found: Costs, profiled: Costs, latency: Latency) -> None:
    """Print all layers, then the three totals as published.

    Args:
        found: `Costs` by the standard convention.
        profiled: The same by `"dnw"`.
        latency: `Latency` of one example.
    """
    print(
        f"\n{found}\n\n"
        f"MicroNet score: {micronet.published_score(profiled):.6f} as "
        f"published, {micronet.organisers_score(found):.6f} by the rules\n"
        f"latency at batch 1: {latency}\n\n{profile_block(profiled, latency)}"
    )


def profile_block(profiled: Costs, latency: Latency) -> str:
    """Return parameters, operations and time in the published form.

    Args:
        profiled: `Costs` by `"dnw"`.
        latency: `Latency` of one example.

    Returns:
        String of three lines.

    Reference:

    - [Wortsman et al., 2019](https://arxiv.org/abs/1906.00586)
    """
    parameters = micronet.profiled_parameters(profiled)
    return (
        f" params: {parameters:,}\n"
        f" flops: {profiled.flops:,}\n"
        f" nanoseconds: {latency.nanoseconds:,}"
    )


def summary_line(epoch: int, epochs: int, scores: dict[str, float]) -> str:
    """Return the scores in the published form.

    Args:
        epoch: Integer, from zero.
        epochs: Integer, those of the training.
        scores: Dict of metric to value, accuracies in [0, 1].

    Returns:
        String of one line.

    Reference:

    - [Wortsman et al., 2019](https://arxiv.org/abs/1906.00586)
    """
    shown = {
        name: 100.0 * scores[key]
        for key, name in PERCENTAGES.items()
        if key in scores
    }
    shown["val.loss"] = scores["loss"]
    values = "\t".join(f"{name} : {value:.3f}" for name, value in shown.items())
    return f"Summary Epoch: {epoch}/{epochs};\t{values}"
