"""Choice of the blocks that a lesion study drops. Pure."""

import dataclasses
import itertools
import math
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Annotated
from typing import Literal
from typing import NamedTuple

import numpy as np

from cb.errors import InputError
from cb.registry import Count
from cb.registry import NotNegative
from cb.registry import Spec
from cb.registry import check_arguments
from cb.registry import one_of
from cb.schedules import NotEmpty
from cb.seeds import generator

Group = Literal["conflicting", "non_conflicting", "any"]
GROUPS: tuple[Group, ...] = ("conflicting", "non_conflicting", "any")


@dataclasses.dataclass(frozen=True)
class Lesion:
    """Drop random blocks of a trained network and score the rest.

    Args:
        blocks: Integer or tuple of integers, how many blocks to drop. By
            default every number from one to all blocks of the group.
        draws: Integer, how many choices of each number of blocks to score;
            all choices if there are fewer.
        among: `"conflicting"`, `"non_conflicting"` or `"any"`, or a tuple of
            them: which blocks to choose from. Conflicting are those whose
            bundle entropy is above the tolerance. All three by default.
        tolerance: Float in nats, the highest entropy without a conflict.

    Raises:
        InputError: If a value is out of range.

    Reference:

    - [Peer et al., 2021](https://arxiv.org/abs/2103.04331)
    """

    blocks: Count | Annotated[tuple[Count, ...], NotEmpty()] | None = None
    draws: Count = 15
    among: Group | tuple[Group, ...] = GROUPS
    tolerance: NotNegative = 0.0

    def __post_init__(self):
        check_arguments(Lesion, **dataclasses.asdict(self))

    def groups(self) -> tuple[str, ...]:
        """Return the names of the groups of blocks to choose from."""
        return (self.among,) if isinstance(self.among, str) else self.among

    def counts(self, most: int) -> tuple[int, ...]:
        """Return how many blocks to drop where there are `most`."""
        if self.blocks is None:
            return tuple(range(1, most + 1))
        if isinstance(self.blocks, int | np.integer):
            return (self.blocks,)
        return tuple(self.blocks)


def parse(spec: str | Spec) -> Lesion:
    """Read a study.

    Args:
        spec: `"lesion"`, perhaps with arguments of `Lesion`.

    Raises:
        InputError: If the name or an argument is wrong.
    """
    return Lesion(**one_of(spec, "lesion study", {"lesion": Lesion}).kwargs)


class Draw(NamedTuple):
    """One choice of blocks to drop.

    Attributes:
        among: String, the group they are from.
        blocks: Integer, how many there are.
        draw: Integer, the number of the choice, from 0.
        dropped: Tuple of integers, the blocks in ascending order.
    """

    among: str
    blocks: int
    draw: int
    dropped: tuple[int, ...]


def draws(
    study: Lesion, entropies: Mapping[int, float], seed: int
) -> list[Draw]:
    """List the choices of a study.

    Args:
        study: `Lesion`.
        entropies: Dict of the number of each block that can be dropped to
            its bundle entropy.
        seed: Integer.

    Returns:
        List of `Draw`; none for zero blocks, or for more than a group has.

    Raises:
        InputError: If an entropy is not finite.
    """
    if not all(map(math.isfinite, entropies.values())):
        raise InputError(
            "The network has diverged: activations or weights of blocks are "
            f"not finite. Received: entropies {dict(entropies)}"
        )
    conflicts = [b for b in entropies if entropies[b] > study.tolerance]
    members = {
        "conflicting": conflicts,
        "non_conflicting": [b for b in entropies if b not in conflicts],
        "any": list(entropies),
    }
    return [
        Draw(group, count, number, dropped)
        for group in study.groups()
        for count in study.counts(len(members[group]))
        for number, dropped in enumerate(
            _choices(members[group], count, study.draws, (seed, group))
        )
    ]


def _choices(members: Sequence[int], count: int, number: int, seed):
    if math.comb(len(members), count) <= number:
        return list(itertools.combinations(members, count))
    random = generator(seed[0], "lesion", seed[1], count)
    found: dict[tuple[int, ...], None] = {}
    while len(found) < number:
        chosen = random.choice(members, count, replace=False)
        found[tuple(sorted(chosen.tolist()))] = None
    return list(found)
