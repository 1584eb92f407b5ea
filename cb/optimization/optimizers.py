"""The optimizers of Keras by name, and those of ours."""

from cb.registry import Registry

# Options of the run rather than of the rule: they have flags of their own.
GIVEN = (
    "learning_rate",
    "name",
    "loss_scale_factor",
    "gradient_accumulation_steps",
)

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
)

names = REGISTRY.names
build = REGISTRY.build
