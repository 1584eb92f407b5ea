"""Table of the costs of a model."""

from cb.text import Table

HEADER = ("layer", "parameters", "of", "MACs", "FLOPs")


def describe(costs) -> Table:
    """Return the layers and the totals, and the storage below them.

    Args:
        costs: `Costs`.

    Returns:
        `Table`.
    """
    weights = costs.weights
    rows: list[tuple[str, ...]] = [HEADER]
    for layer in costs.layers:
        rows.append(_cells(layer.name, layer.weights, layer.macs, layer.flops))
    rows.append(_cells("total", weights, costs.macs, costs.flops))
    lines = [
        f"if nothing were zero: {costs.dense_macs:,} MACs, "
        f"{costs.dense_flops:,} FLOPs",
        f"of the parameters {weights.nonzero:,} in kernels, "
        f"{weights.biases:,} biases, {weights.normalization:,} of "
        "normalizations",
        f"bytes: dense {weights.dense_bytes:,}, CSR {weights.csr_bytes:,}, "
        f"bitmask {weights.bitmask_bytes:,}",
        f"convention: {costs.convention}",
    ]
    for name, kinds in costs.unknown.items():
        lines.append(f"NOT COUNTED: {', '.join(kinds)} in {name}")
    return Table(rows, numbers=(1, 2, 3, 4), notes=lines)


def _cells(name: str, weights, macs: int, flops: int) -> tuple[str, ...]:
    numbers = (weights.total_nonzero, weights.total, macs, flops)
    return (name, *(f"{number:,}" for number in numbers))
