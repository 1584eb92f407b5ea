"""Settings of auto-tuning, as a spec. Pure."""

import dataclasses
from typing import Literal

from cb.registry import Count
from cb.registry import Natural
from cb.registry import NotNegative
from cb.registry import Spec
from cb.registry import nothing
from cb.registry import one_of


@dataclasses.dataclass(frozen=True)
class Settings:
    """Remove blocks until the last one has no conflict.

    Args:
        rule: Blocks to remove: `"truncate"`, `"first_type"` or `"all"`, see
            `cb.bundles.shrink.surviving`.
        checks: Integer, in how many epochs to measure.
        when: `"before"` or `"after"` the epoch.
        num_samples: Integer, training examples to measure with.
        amplitude: Weights that the bundles are measured by: `"layer"`, those
            that the activations meet next, or `"model"`, all, as published.
        gate: Name of the layer whose conflicts stop the training: `"pool"`,
            the pooled vector, in the code of the paper. By default the last
            block.
        tolerance: Float in nats, the highest entropy without a conflict.
        restarts: Integer, how many attempts may follow the first.
        warm: Boolean, whether to restart with the weights of surviving
            blocks.
        controls: Any of `"full"` and `"random"`, trained at the end if
            blocks were removed.

    Reference:

    - [Peer et al., 2021](https://arxiv.org/abs/2011.02956)
    """

    rule: Literal["truncate", "first_type", "all"] = "truncate"
    checks: Count = 10
    when: Literal["before", "after"] = "after"
    num_samples: Count = 512
    amplitude: Literal["layer", "model"] = "layer"
    gate: str | None = None
    tolerance: NotNegative = 0.0
    restarts: Natural = 20
    warm: bool = False
    controls: tuple[Literal["full", "random"], ...] = ()


def complete(spec: str | Spec) -> Spec:
    """Write out the defaults of auto-tuning.

    Args:
        spec: `"none"`, or `"auto_tune(...)"` with arguments of `Settings`.

    Returns:
        The `Spec` with every default.

    Raises:
        InputError: If the name or an argument is wrong.
    """
    return one_of(spec, "auto-tune", {"none": nothing, "auto_tune": Settings})
