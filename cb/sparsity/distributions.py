"""Distributions of the connections of a sparse model over its layers."""

import math
from collections.abc import Mapping
from typing import Annotated

from cb.errors import InputError
from cb.errors import argument_error
from cb.registry import Interval
from cb.registry import Registry

Shapes = Mapping[str, tuple[int, ...]]
# Beyond, powers of the sizes of layers leave the range of floats.
Exponent = Annotated[float, Interval("[-10, 10]")]

REGISTRY = Registry("distribution", __name__, given=("shapes", "density"))


@REGISTRY.register("uniform")
def uniform(shapes: Shapes, density: float) -> dict[str, float]:
    """Give every layer the same density.

    Args:
        shapes: Dict of layer key to kernel shape.
        density: Float in (0, 1], the density of the whole model.

    Returns:
        Dict of layer key to density.
    """
    return {key: density for key in shapes}


@REGISTRY.register("erdos_renyi")
def erdos_renyi(
    shapes: Shapes, density: float, power: Exponent = 1.0
) -> dict[str, float]:
    """Scale density with `(inputs + outputs) / (inputs * outputs)`.

    Only the last two dimensions count, so kernels of any size are treated
    as their channel matrix. Layers that would exceed density 1 become dense
    and the rest is solved again.

    Args:
        shapes: Dict of layer key to kernel shape.
        density: Float in (0, 1], the density of the whole model.
        power: Float in [-10, 10], exponent of the scale.

    Returns:
        Dict of layer key to density.

    Reference:

    - [Mocanu et al., 2018](https://arxiv.org/abs/1707.04780)
    """
    sides = {key: shape[-2:] for key, shape in shapes.items()}
    return _scaled(shapes, density, sides, power)


@REGISTRY.register("erk")
def erk(
    shapes: Shapes, density: float, power: Exponent = 1.0
) -> dict[str, float]:
    """Scale density with `sum(shape) / prod(shape)` of the whole kernel.

    Args:
        shapes: Dict of layer key to kernel shape.
        density: Float in (0, 1], the density of the whole model.
        power: Float in [-10, 10], exponent of the scale.

    Returns:
        Dict of layer key to density.

    Reference:

    - [Evci et al., 2020](https://arxiv.org/abs/1911.11134)
    """
    return _scaled(shapes, density, shapes, power)


def _scaled(
    shapes: Shapes, density: float, sides: Shapes, power: float
) -> dict[str, float]:
    sizes = {key: math.prod(shape) for key, shape in shapes.items()}
    scale = {
        key: (sum(lengths) / math.prod(lengths)) ** power
        for key, lengths in sides.items()
    }
    budget = density * sum(sizes.values())
    dense: set[str] = set()
    while True:
        free = [key for key in shapes if key not in dense]
        if not free:
            return {key: 1.0 for key in shapes}
        left = budget - sum(sizes[key] for key in dense)
        epsilon = left / sum(scale[key] * sizes[key] for key in free)
        over = [key for key in free if epsilon * scale[key] > 1.0]
        if not over:
            break
        # A dense layer takes less than its share, which raises epsilon for
        # the rest: none that exceeded density 1 can fit again.
        dense.update(over)
    return {
        key: 1.0 if key in dense else epsilon * scale[key] for key in shapes
    }


def connection_counts(
    shapes: Shapes,
    sparsity: float,
    distribution: str,
    names: Mapping[str, str] | None = None,
) -> dict[str, int]:
    """Share out the connections of a model, exact in total.

    The total is `round((1 - sparsity) * weights)`; fractions of connections
    go to the layers with the largest remainders.

    Args:
        shapes: Dict of layer key to kernel shape.
        sparsity: Float in [0, 1), of the whole model.
        distribution: Spec of a distribution.
        names: Dict of layer key to name, for messages. Defaults to the
            keys.

    Returns:
        Dict of layer key to number of active connections.

    Raises:
        InputError: If the sparsity is out of range or would empty a layer.
    """
    if not 0.0 <= sparsity < 1.0:
        raise argument_error("sparsity", "in [0, 1)", sparsity)
    sizes = {key: math.prod(shape) for key, shape in shapes.items()}
    total = sum(sizes.values())
    # Rounding to 9 digits undoes the binary error of 1 - sparsity.
    wanted = round(round((1.0 - sparsity) * total, 9))
    densities = REGISTRY.build(
        distribution, shapes=shapes, density=wanted / total if total else 1.0
    )
    exact = {key: densities[key] * sizes[key] for key in shapes}
    counts = largest_remainder(exact, wanted, sizes)
    for key, number in counts.items():
        if number == 0:
            raise InputError(
                "Argument `sparsity` would empty layer "
                f"{(names or {}).get(key, key)!r} of "
                f"{sizes[key]} weights. Expected at least one connection in "
                f"every layer. Received: sparsity={sparsity}, "
                f"distribution={str(distribution)!r}"
            )
    return counts


def largest_remainder(
    exact: Mapping[str, float], total: int, capacity: Mapping[str, int]
) -> dict[str, int]:
    """Round shares to integers that sum to `total`, within capacity.

    Args:
        exact: Dict of key to real share; the shares sum to about `total`.
        total: Integer, the sum wanted.
        capacity: Dict of key to its largest share.

    Returns:
        Dict of key to integer. Ties go to the earlier key.

    Raises:
        ValueError: If `total` exceeds the capacities together.
    """
    if total > sum(capacity.values()):
        raise ValueError(
            f"Argument `total` must be at most {sum(capacity.values())}. "
            f"Received: total={total}"
        )
    # Rounding to 9 digits keeps binary error from costing a whole unit.
    exact = {key: round(value, 9) for key, value in exact.items()}
    shares = {
        key: min(math.floor(value), capacity[key])
        for key, value in exact.items()
    }
    order = sorted(exact, key=lambda key: shares[key] - exact[key])
    while (missing := total - sum(shares.values())) > 0:
        room = [key for key in order if shares[key] < capacity[key]]
        for key in room[:missing]:
            shares[key] += 1
    return shares


def apportion(
    weights: Mapping[str, float], total: int, capacity: Mapping[str, int]
) -> dict[str, int]:
    """Share out a total in proportion to weights, within capacity.

    The excess of full keys goes to the others, again in proportion.

    Args:
        weights: Dict of key to number, zero or more.
        total: Integer, the sum wanted.
        capacity: Dict of key to its largest share.

    Returns:
        Dict of key to integer; the sum is exactly `total`.

    Raises:
        ValueError: If `total` exceeds the capacities together.
    """
    exact: dict[str, float] = {}
    free, left = list(weights), total
    while free:
        scale = sum(weights[key] for key in free)
        shares = {
            key: left * (weights[key] / scale if scale else 1 / len(free))
            for key in free
        }
        full = {key for key in free if shares[key] > capacity[key]}
        exact.update({key: capacity[key] for key in full} or shares)
        left -= sum(capacity[key] for key in full)
        free = [key for key in free if key not in full] if full else []
    in_order = {key: exact[key] for key in weights}
    return largest_remainder(in_order, total, capacity)
