"""The table of what a model costs."""

ROW = "{:<32} {:>14} {:>14} {:>16} {:>18}"


def table(costs) -> str:
    """Return the layers, the totals and the storage as text.

    Args:
        costs: `Costs`.

    Returns:
        String of several lines.
    """
    total = costs.weights
    lines = [ROW.format("layer", "parameters", "of", "MACs", "FLOPs")]
    for layer in costs.layers:
        lines.append(
            _row(
                layer.name,
                layer.weights.total_nonzero,
                layer.weights.total,
                layer.macs,
                layer.flops,
            )
        )
    lines.append(
        _row("total", total.total_nonzero, total.total, costs.macs, costs.flops)
    )
    lines.append(
        _row(
            "dense",
            total.total,
            total.total,
            costs.dense_macs,
            costs.dense_flops,
        )
    )
    lines.append(
        f"of the parameters {total.nonzero:,} in kernels, {total.biases:,} "
        f"biases, {total.normalization:,} of normalizations"
    )
    lines.append(
        f"bytes: dense {total.dense_bytes:,}, CSR {total.csr_bytes:,}, "
        f"bitmask {total.bitmask_bytes:,}"
    )
    lines.append(f"convention: {costs.convention}")
    for name, kinds in costs.unknown.items():
        lines.append(f"NOT COUNTED: {', '.join(kinds)} in {name}")
    return "\n".join(lines)


def _row(name: str, *numbers: int) -> str:
    return ROW.format(name, *(f"{number:,}" for number in numbers))
