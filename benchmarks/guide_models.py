"""Models of the kinds that the guides of Keras teach, in our own words."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from keras import ops


def _random(*shape):
    generator = np.random.default_rng(len(shape))
    return generator.normal(size=shape).astype("float32")


def _batches(*parts):
    return tf.data.Dataset.from_tensor_slices(parts).batch(4)


class OwnStep(keras.Model):
    """A training step of its own."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = ops.mean(ops.square(y - self(x, training=True)))
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


def own_training_step():
    """Return a functional model of a class with a training step."""
    inputs = keras.Input((8,))
    hidden = layers.Dense(16, "relu")(inputs)
    model = OwnStep(inputs, layers.Dense(3)(hidden))
    x = _random(8, 8)
    return model, x[:2], None, _batches(x, x[:, :3])


class Adversarial(keras.Model):
    """A generator, and a critic with an optimizer of its own."""

    def __init__(self, size=4):
        super().__init__()
        self.size = size
        self.generator = keras.Sequential(
            [layers.Dense(16, "relu"), layers.Dense(8)], name="generator"
        )
        self.critic = keras.Sequential(
            [layers.Dense(16, "relu"), layers.Dense(1)], name="critic"
        )
        self.critic_optimizer = keras.optimizers.SGD(1e-3)

    def build(self, input_shape):
        self.generator.build(input_shape)
        self.critic.build((None, 8))

    def call(self, noise):
        return self.generator(noise)

    def train_step(self, data):
        real, _ = data
        noise = keras.random.normal((4, self.size))
        with tf.GradientTape(persistent=True) as tape:
            scores = self.critic(self.generator(noise))
            lost = ops.mean(ops.square(scores - 1.0))
            found = ops.square(self.critic(real) - 1.0) + ops.square(scores)
            missed = ops.mean(found)
        for part, loss, rule in (
            (self.generator, lost, self.optimizer),
            (self.critic, missed, self.critic_optimizer),
        ):
            variables = part.trainable_variables
            rule.apply(tape.gradient(loss, variables), variables)
        return {"loss": lost}

    def get_config(self):
        return {"size": self.size}


def adversarial():
    """Return a GAN."""
    model = Adversarial()
    model.build((None, 4))
    x = _random(8, 8)
    return model, _random(2, 4), None, _batches(x, x)


class Variational(keras.Model):
    """A variational autoencoder that adds its own loss."""

    def __init__(self, latent=2, **kwargs):
        super().__init__(**kwargs)
        self.latent = latent
        self.encoder = layers.Dense(16, "relu")
        self.mean = layers.Dense(latent)
        self.spread = layers.Dense(latent)
        self.decoder = layers.Dense(8)
        self.seeds = keras.random.SeedGenerator(0)

    def build(self, input_shape):
        self.encoder.build(input_shape)
        self.mean.build((None, 16))
        self.spread.build((None, 16))
        self.decoder.build((None, self.latent))

    def call(self, inputs, training=False):
        hidden = self.encoder(inputs)
        mean, spread = self.mean(hidden), self.spread(hidden)
        if training:
            self.add_loss(ops.mean(ops.square(mean) + ops.exp(spread) - spread))
            noise = keras.random.normal(ops.shape(mean), seed=self.seeds)
            mean = mean + ops.exp(0.5 * spread) * noise
        return self.decoder(mean)

    def get_config(self):
        return {**super().get_config(), "latent": self.latent}


def variational():
    """Return a variational autoencoder."""
    model = Variational()
    model.build((None, 8))
    x = _random(8, 8)
    return model, x[:2], None, _batches(x, x)


def siamese():
    """Return an encoder that is called on two inputs, and their distance."""
    encoder = keras.Sequential(
        [keras.Input((8,)), layers.Dense(16, "relu"), layers.Dense(4)]
    )
    pair = [keras.Input((8,), name="one"), keras.Input((8,), name="other")]
    apart = ops.square(encoder(pair[0]) - encoder(pair[1]))
    outputs = layers.Dense(1, "sigmoid")(ops.sum(apart, -1, keepdims=True))
    x = [_random(2, 8), 1.0 - _random(2, 8)]
    return keras.Model(pair, outputs), x, None, None


class Distiller(keras.Model):
    """A student that learns the answers of a frozen teacher."""

    def __init__(self, width=8, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.student = layers.Dense(3, name="student")
        self.teacher = layers.Dense(3, name="teacher")
        self.teacher.trainable = False

    def build(self, input_shape):
        self.student.build(input_shape)
        self.teacher.build(input_shape)

    def call(self, inputs):
        return self.student(inputs)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        return ops.mean(ops.square(self.teacher(x) - y_pred))

    def get_config(self):
        return {**super().get_config(), "width": self.width}


def distillation():
    """Return a student and its teacher."""
    model = Distiller()
    model.build((None, 8))
    return model, _random(2, 8), None, None


def transfer():
    """Return a frozen network of `keras.applications` with a new head."""
    base = keras.applications.MobileNetV3Small(
        (32, 32, 3), alpha=0.35, weights=None, include_top=False
    )
    base.trainable = False
    inputs = keras.Input((32, 32, 3))
    features = layers.GlobalAveragePooling2D()(base(inputs, training=False))
    model = keras.Model(inputs, layers.Dense(3)(layers.Dropout(0.2)(features)))
    return model, _random(2, 32, 32, 3), None, None


def translation():
    """Return an encoder and a decoder of texts with masked steps."""
    source = keras.Input((6,), dtype="int32", name="source")
    target = keras.Input((5,), dtype="int32", name="target")
    words = layers.Embedding(20, 8, mask_zero=True)
    _, *state = layers.LSTM(8, return_state=True)(words(source))
    x = layers.Embedding(20, 8, mask_zero=True)(target)
    x = layers.LSTM(8, return_sequences=True)(x, initial_state=state)
    model = keras.Model([source, target], layers.Dense(20, "softmax")(x))
    numbers = np.random.default_rng(0)
    x = [numbers.integers(0, 20, (2, size)).astype("int32") for size in (6, 5)]
    return model, x, None, None


def texts():
    """Return a classifier of strings."""
    words = layers.TextVectorization(
        vocabulary=["good", "bad", "very"], output_sequence_length=4
    )
    inputs = keras.Input((1,), dtype="string")
    x = layers.Embedding(5, 8)(words(inputs))
    x = layers.Dense(8, "relu")(layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs, layers.Dense(1, "sigmoid")(x))
    return model, tf.constant([["very good"], ["bad"]]), None, None


def structured():
    """Return a classifier of numbers and categories."""
    numbers = keras.Input((3,), name="numbers")
    kind = keras.Input((1,), dtype="string", name="kind")
    code = keras.Input((1,), dtype="int64", name="code")
    scale = layers.Normalization()
    scale.adapt(5.0 + 3.0 * _random(20, 3))
    by_kind = layers.StringLookup(
        vocabulary=["a", "b"], output_mode="one_hot", num_oov_indices=1
    )
    by_code = layers.IntegerLookup(
        vocabulary=[3, 7], output_mode="one_hot", num_oov_indices=1
    )
    x = [scale(numbers), by_kind(kind), by_code(code)]
    x = layers.Dense(16, "relu")(layers.Concatenate()(x))
    model = keras.Model([numbers, kind, code], layers.Dense(1)(x))
    rows = [
        tf.constant(_random(2, 3)),
        tf.constant([["a"], ["c"]]),
        tf.constant([[7], [1]], "int64"),
    ]
    return model, rows, None, None


def segmentation():
    """Return a network of images with skip connections."""
    inputs = keras.Input((16, 16, 3))
    first = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    x = layers.MaxPooling2D()(layers.BatchNormalization()(first))
    x = layers.SeparableConv2D(16, 3, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(8, 2, strides=2)(x)
    x = layers.Concatenate()([x, first])
    outputs = layers.Conv2D(2, 1, activation="softmax")(x)
    return keras.Model(inputs, outputs), _random(2, 16, 16, 3), None, None


def time_series():
    """Return a forecast from a window of several series."""
    inputs = keras.Input((12, 3))
    x = layers.Conv1D(8, 3, padding="causal", activation="relu")(inputs)
    x = layers.Bidirectional(layers.GRU(6))(x)
    return (
        keras.Model(inputs, layers.Dense(3)(x)),
        _random(2, 12, 3),
        None,
        None,
    )


class Network(keras.Model):
    """Residual blocks in a list, and a variable of its own."""

    def __init__(self, width=8, depth=2, **kwargs):
        super().__init__(**kwargs)
        self.width, self.depth = width, depth
        self.blocks = [Block(width) for _ in range(depth)]
        self.head = layers.Dense(3)

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(self.width,), initializer="ones")
        for block in self.blocks:
            block.build(input_shape)
        self.head.build(input_shape)

    def call(self, inputs):
        x = inputs
        for block in self.blocks:
            x = x + block(x)
        return self.head(x * self.scale)

    def get_config(self):
        config = super().get_config()
        return {**config, "width": self.width, "depth": self.depth}


class Block(layers.Layer):
    """Two layers in a layer."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.inner = layers.Dense(2 * width, "relu")
        self.outer = layers.Dense(width)

    def build(self, input_shape):
        self.inner.build(input_shape)
        self.outer.build((*input_shape[:-1], 2 * self.width))

    def call(self, inputs):
        return self.outer(self.inner(inputs))

    def get_config(self):
        return {**super().get_config(), "width": self.width}


def subclassed():
    """Return a subclassed network of layers made of layers."""
    model = Network()
    model.build((None, 8))
    return model, _random(2, 8), None, None


GUIDES = {
    "custom training step": own_training_step,
    "GAN": adversarial,
    "variational autoencoder": variational,
    "siamese network": siamese,
    "distillation": distillation,
    "transfer learning": transfer,
    "sequence to sequence": translation,
    "text from strings": texts,
    "structured data": structured,
    "segmentation": segmentation,
    "time series": time_series,
    "subclassed network": subclassed,
}
