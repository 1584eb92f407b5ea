"""Random sparse networks of every kind of layer that compaction knows."""

import keras
import numpy as np

layers = keras.layers
IMAGE = (9, 8, 5)
ACTIVATIONS = (None, "relu", "tanh", "sigmoid", "elu", "softmax", "gelu")


def kill(model, random, dead=0.15, sparsity=0.4):
    """Make kernels sparse, with rows and columns that are all zero."""
    for layer in model._flatten_layers():
        for weight in layer.weights:
            shape, kind = weight.shape, type(layer).__name__
            values = random.normal(size=shape)
            if weight.name == "moving_variance":
                values = random.uniform(0.5, 2, shape)
            if "kernel" in weight.name:
                values *= random.random(shape) > sparsity
                values *= random.random(shape[-1]) > dead
                values *= random.random((shape[-2], 1)) > dead
                if kind.startswith("Depthwise"):
                    values *= random.random(shape[-2:]) > dead
            if weight.name == "gamma":
                values *= random.random(shape) > dead / 2
            if weight.name in ("bias", "beta", "alpha"):
                values *= random.random(shape) > 0.3
            weight.assign(values * 0.7)


def choose(random, options):
    return options[random.integers(len(options))]


def linear(random):
    """Draw a layer with a kernel, for images."""
    kind = random.integers(6)
    options = {
        "kernel_size": choose(random, (1, 2, 3)),
        "padding": choose(random, ("same", "valid")),
        "activation": choose(random, ACTIVATIONS),
        "use_bias": bool(random.integers(2)),
    }
    filters = int(random.integers(4, 13))
    if kind == 0:
        multiplier = int(random.integers(1, 3))
        return layers.DepthwiseConv2D(depth_multiplier=multiplier, **options)
    if kind == 1:
        return layers.SeparableConv2D(filters, **options)
    if kind == 2:
        options["strides"] = choose(random, (1, 2))
        return layers.Conv2DTranspose(filters, **options)
    if kind == 3:
        return layers.Dense(filters, activation=options["activation"])
    return layers.Conv2D(filters, **options)


def channelwise(random):
    """Draw a layer that leaves channels as they are."""
    return choose(
        random,
        [
            layers.BatchNormalization(),
            layers.Activation(choose(random, ("relu", "silu", "softplus"))),
            layers.ReLU(max_value=6.0, negative_slope=0.1),
            layers.LeakyReLU(0.2),
            layers.PReLU(shared_axes=[1, 2]),
            layers.Dropout(0.3),
            layers.SpatialDropout2D(0.3),
            layers.MaxPooling2D(2, padding="same"),
            layers.AveragePooling2D(2, 1, padding="same"),
            layers.ZeroPadding2D(1),
            layers.UpSampling2D(2),
            layers.Rescaling(0.5, 0.1),
            layers.LayerNormalization(),
        ],
    )


def merged(random, x):
    """Draw two branches and put them together again."""
    filters = int(random.integers(4, 13))
    branches = [
        layers.Conv2D(filters, choose(random, (1, 3)), padding="same")(x)
        for _ in range(2)
    ]
    branches[0] = layers.BatchNormalization()(branches[0])
    return choose(
        random,
        [
            layers.Add(),
            layers.Multiply(),
            layers.Maximum(),
            layers.Subtract(),
            layers.Average(),
            layers.Concatenate(),
            layers.Concatenate(axis=1),
        ],
    )(branches)


def ending(random, x):
    """Draw what leads from images to a few numbers."""
    kind = random.integers(4)
    if kind == 0:
        x = layers.Flatten()(x)
    elif kind == 1:
        x = layers.GlobalAveragePooling2D()(x)
    elif kind == 2:
        x = layers.GlobalMaxPooling2D()(x)
    else:
        x = layers.Reshape((-1, x.shape[-1]))(x)
        x = layers.Conv1D(6, 3, padding="causal", activation="relu")(x)
        x = layers.Flatten()(x)
    for _ in range(random.integers(1, 3)):
        units, activation = int(random.integers(4, 12)), "relu"
        x = layers.Dense(units, activation=activation)(x)
        x = layers.BatchNormalization()(x)
    return layers.Dense(4, activation=choose(random, (None, "softmax")))(x)


def network(seed):
    """Draw a network on images, with weights."""
    random = np.random.default_rng(seed)
    x = inputs = keras.Input(IMAGE)
    for _ in range(random.integers(2, 5)):
        x = linear(random)(x)
        if random.random() < 0.7:
            x = channelwise(random)(x)
        if random.random() < 0.4:
            x = merged(random, x)
        if min(x.shape[1:3]) < 4:
            x = layers.ZeroPadding2D(2)(x)
    model = keras.Model(inputs, ending(random, x))
    kill(model, random)
    return model
