"""How a run is auto-tuned, chosen by name. Pure."""

import dataclasses

from cb.registry import Registry

REGISTRY = Registry("auto-tune", __name__)


@REGISTRY.register("none")
def none():
    """Train the model as it is."""


@REGISTRY.register("auto_tune")
@dataclasses.dataclass(frozen=True)
class Settings:
    """Remove blocks until the last one has no conflict.

    Args:
        rule: Which blocks to remove: `"truncate"`, `"first_type"` or
            `"all"`, see `cb.bundles.shrink.surviving`.
        checks: Integer, in how many epochs to measure.
        when: `"before"` or `"after"` the epoch.
        num_samples: Integer, training examples to measure with.
        tolerance: Float in nats, entropy that is no conflict yet.
        restarts: Integer, how many attempts may follow the first.
        warm: Boolean, start again with the weights of surviving blocks.
        controls: Any of `"full"` and `"random"`, trained at the end if
            blocks were removed.

    Reference:

    - [Peer et al., 2021](https://arxiv.org/abs/2011.02956)
    """

    rule: str = "truncate"
    checks: int = 10
    when: str = "after"
    num_samples: int = 512
    tolerance: float = 0.0
    restarts: int = 20
    warm: bool = False
    controls: tuple[str, ...] = ()
