"""Rules for the blocks to remove when the last one has conflicts. Pure."""

from collections.abc import Sequence

from cb.errors import InputError
from cb.registry import unknown
from cb.seeds import generator


def surviving(
    blocks: Sequence[int],
    entropies: Sequence[float],
    rule: str = "truncate",
    tolerance: float = 0.0,
) -> list[int]:
    """Choose the blocks that an architecture keeps.

    Blocks have types (such as the stages of a ResNet), in the order of the
    network. A block is conflicting if its bundle entropy is above the
    tolerance.

    Args:
        blocks: Integers, number of blocks of each type.
        entropies: Floats, bundle entropy of every block in order.
        rule: `"truncate"` cuts the type of the first conflicting block
            there and keeps other types, as in the first paper;
            `"first_type"` removes the conflicting blocks of that type only,
            as in the published code; `"all"` removes every conflicting
            block.
        tolerance: Float in nats. Defaults to the published `0`.

    Returns:
        List of integers, positions of the blocks that stay, ascending.

    Raises:
        InputError: If the rule is unknown, or entropies are not one finite
            number for each block.

    Reference:

    - [Peer et al., 2021](https://arxiv.org/abs/2011.02956)
    - [Peer et al., 2021](https://arxiv.org/abs/2103.04331)
    """
    if rule not in RULES:
        raise unknown("shrink rule", rule, RULES)
    if len(entropies) != sum(blocks):
        raise InputError(
            "Argument `entropies` must hold one number for each of the "
            f"{sum(blocks)} blocks {tuple(blocks)}. "
            f"Received: {len(entropies)} numbers"
        )
    if any(entropy != entropy for entropy in entropies):
        raise InputError(
            f"Argument `entropies` must be finite. Received: {list(entropies)}"
        )
    types = _types(blocks)
    conflicts = [p for p in range(len(types)) if entropies[p] > tolerance]
    removed = RULES[rule](types, conflicts) if conflicts else set()
    return [p for p in range(len(types)) if p not in removed]


def counts(blocks: Sequence[int], kept: Sequence[int]) -> tuple[int, ...]:
    """Count the blocks that stay, by type.

    Args:
        blocks: Integers, number of blocks of each type.
        kept: Positions of the blocks that stay.

    Returns:
        Tuple of integers as long as `blocks`.
    """
    types = _types(blocks)
    kept_types = [types[position] for position in kept]
    return tuple(kept_types.count(kind) for kind in range(len(blocks)))


def random_blocks(
    blocks: Sequence[int], number: int, seed: int
) -> tuple[int, ...]:
    """Remove random blocks until `number` stay, as a control.

    Args:
        blocks: Integers, number of blocks of each type.
        number: Integer, how many blocks stay in total.
        seed: Integer.

    Returns:
        Tuple of integers, number of blocks of each type.
    """
    random = generator(seed, "random_blocks", number)
    kept = random.choice(sum(blocks), number, replace=False)
    return counts(blocks, kept.tolist())


def _types(blocks: Sequence[int]) -> list[int]:
    return [kind for kind, number in enumerate(blocks) for _ in range(number)]


def _truncate(types, conflicts):
    first = conflicts[0]
    last = len(types) - types[::-1].index(types[first])
    return set(range(first, last))


def _first_type(types, conflicts):
    return {p for p in conflicts if types[p] == types[conflicts[0]]}


def _all(types, conflicts):
    del types
    return set(conflicts)


RULES = {"truncate": _truncate, "first_type": _first_type, "all": _all}
