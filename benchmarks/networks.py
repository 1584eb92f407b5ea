"""The networks of the benchmarks, for Keras 3 and for the old Keras alike."""


def perceptron(keras, widths):
    """Build a perceptron on 784 features with ten classes."""
    model = keras.Sequential([keras.layers.Input((784,))])
    for width in widths:
        model.add(keras.layers.Dense(width, activation="relu"))
    model.add(keras.layers.Dense(10))
    return model


def small_cnn(keras):
    """Build two convolutions and a hidden dense layer on 28x28 images."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10),
        ]
    )


def wide_resnet(keras, depth=28, width=2):
    """Build a wide residual network on 32x32 images."""
    layers = keras.layers

    def convolution(x, filters, size=3, strides=1):
        return layers.Conv2D(
            filters, size, strides, padding="same", use_bias=False
        )(x)

    def normalized(x):
        return layers.ReLU()(layers.BatchNormalization()(x))

    inputs = keras.Input((32, 32, 3))
    x = convolution(inputs, 16)
    for filters, first_stride in ((16, 1), (32, 2), (64, 2)):
        filters *= width
        for block in range((depth - 4) // 6):
            strides = first_stride if block == 0 else 1
            y = normalized(x)
            shortcut = x
            if x.shape[-1] != filters:
                shortcut = convolution(y, filters, 1, strides)
            y = normalized(convolution(y, filters, 3, strides))
            x = layers.Add()([convolution(y, filters), shortcut])
    x = layers.GlobalAveragePooling2D()(normalized(x))
    return keras.Model(inputs, layers.Dense(10)(x))


def resnet18(keras):
    """Build the residual network of 18 layers as it is used on 32x32 images.

    Its first convolution has 3x3 kernels and no stride, and no pooling follows.
    """
    layers = keras.layers

    def convolution(x, filters, size=3, strides=1):
        x = layers.Conv2D(
            filters, size, strides, padding="same", use_bias=False
        )(x)
        return layers.BatchNormalization()(x)

    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(convolution(inputs, 64))
    for filters, first_stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        for strides in (first_stride, 1):
            shortcut = x
            if x.shape[-1] != filters:
                shortcut = convolution(x, filters, 1, strides)
            y = layers.ReLU()(convolution(x, filters, 3, strides))
            x = layers.Add()([convolution(y, filters), shortcut])
            x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def recurrent(keras, kind, units=128):
    """Build a recurrent layer that reads 28x28 images row by row."""
    layers = keras.layers
    return keras.Sequential(
        [layers.Input((28, 28)), getattr(layers, kind)(units), layers.Dense(10)]
    )


NETWORKS = {
    "mlp_784_300_100": (lambda keras: perceptron(keras, (300, 100)), 128),
    "small_cnn": (small_cnn, 128),
    "wide_resnet_28_2": (wide_resnet, 32),
    "mlp_1024_wide": (lambda keras: perceptron(keras, (1024,) * 3), 128),
    "lstm_128": (lambda keras: recurrent(keras, "LSTM"), 128),
    "gru_128": (lambda keras: recurrent(keras, "GRU"), 128),
    "simple_rnn_128": (lambda keras: recurrent(keras, "SimpleRNN"), 128),
}
