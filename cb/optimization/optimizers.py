"""The optimizers of Keras by name, and those of ours."""

from typing import Annotated

from cb.registry import Count
from cb.registry import Fraction
from cb.registry import Interval
from cb.registry import Natural
from cb.registry import NotNegative
from cb.registry import Positive
from cb.registry import Rate
from cb.registry import Registry

# Options of the run rather than of the rule: they have flags of their own.
GIVEN = (
    "learning_rate",
    "name",
    "loss_scale_factor",
    "gradient_accumulation_steps",
)

# Parameters of Keras's optimizers, where their default says too little.
LIBRARY = {
    "adam_beta_1": Rate,
    "adam_beta_2": Rate,
    "adam_lr_ratio": NotNegative,
    "adam_weight_decay": NotNegative | None,
    "beta": NotNegative,
    "beta_1": Rate,
    "beta_2": Rate,
    "clip_threshold": Positive,
    "clipnorm": NotNegative | None,
    "clipvalue": NotNegative | None,
    "ema_momentum": Fraction,
    "ema_overwrite_frequency": Count | None,
    "epsilon": NotNegative,
    "epsilon_1": NotNegative,
    "epsilon_2": NotNegative,
    "exclude_layers": tuple[str, ...] | None,
    "global_clipnorm": NotNegative | None,
    "initial_accumulator_value": NotNegative,
    "l1_regularization_strength": NotNegative,
    "l2_regularization_strength": NotNegative,
    "l2_shrinkage_regularization_strength": NotNegative,
    "learning_rate_power": Annotated[float, Interval("(-inf, 0]")],
    "momentum": Fraction,
    "ns_steps": Count,
    "rho": Rate,
    "rms_rate": NotNegative,
    "warmup_steps": Natural,
    "weight_decay": NotNegative | None,
}

REGISTRY = Registry(
    "optimizer",
    "cb.optimization",
    given=GIVEN,
    elsewhere={
        "adadelta": "keras.optimizers:Adadelta",
        "adafactor": "keras.optimizers:Adafactor",
        "adagrad": "keras.optimizers:Adagrad",
        "adam": "keras.optimizers:Adam",
        "adamax": "keras.optimizers:Adamax",
        "adamw": "keras.optimizers:AdamW",
        "ftrl": "keras.optimizers:Ftrl",
        "lamb": "keras.optimizers:Lamb",
        "lion": "keras.optimizers:Lion",
        "muon": "keras.optimizers:Muon",
        "nadam": "keras.optimizers:Nadam",
        "rmsprop": "keras.optimizers:RMSprop",
        "schedule_free_adamw": "keras.optimizers:ScheduleFreeAdamW",
        "sgd": "keras.optimizers:SGD",
    },
    library=LIBRARY,
)

names = REGISTRY.names
build = REGISTRY.build
