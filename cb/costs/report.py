"""Table of the costs of a model."""

from cb.text import table

HEADER = ("layer", "parameters", "of", "MACs", "FLOPs")


def describe(costs) -> str:
    """Return the layers, the totals and the storage as text.

    Args:
        costs: `Costs`.

    Returns:
        String of several lines.
    """
    weights = costs.weights
    rows: list[tuple[str, ...]] = [HEADER]
    for layer in costs.layers:
        rows.append(_cells(layer.name, layer.weights, layer.macs, layer.flops))
    rows.append(_cells("total", weights, costs.macs, costs.flops))
    lines = [
        table(rows, numbers=(1, 2, 3, 4)),
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
    return "\n".join(lines)


def _cells(name: str, weights, macs: int, flops: int) -> tuple[str, ...]:
    numbers = (weights.total_nonzero, weights.total, macs, flops)
    return (name, *(f"{number:,}" for number in numbers))
