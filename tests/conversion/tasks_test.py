"""Models in the style of KerasHub's tasks, which are trained on texts."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.layers.masked import masked_kernels

TEXTS = np.array(["a b", "b c c", "c", "a"])
LABELS = np.array([0, 1, 1, 0])


@keras.saving.register_keras_serializable("tasks")
class Preprocessor(keras.layers.Layer):
    """Keeps words outside of its configuration; splits when first used."""

    def __init__(self, words=None, **kwargs):
        super().__init__(**kwargs)
        self.lookup = keras.layers.TextVectorization(
            vocabulary=words, output_sequence_length=4
        )
        self.packer = None

    def build(self, input_shape):
        self.packer = keras.layers.Activation("linear", dtype="int32")

    def call(self, x):
        return self.packer(self.lookup(x))

    def save_assets(self, folder):
        words = self.lookup.get_vocabulary(include_special_tokens=False)
        with open(f"{folder}/words", "w") as file:
            file.write("\n".join(words))

    def load_assets(self, folder):
        with open(f"{folder}/words") as file:
            self.lookup.set_vocabulary(file.read().split("\n"))


@keras.saving.register_keras_serializable("tasks")
class Task(keras.Model):
    """A functional model with a preprocessor and an object of its own."""

    def __init__(self, preprocessor, width=8, **kwargs):
        inputs = keras.Input((4,), dtype="int32")
        self.embedding = keras.layers.Embedding(9, width)
        self.attention = keras.layers.MultiHeadAttention(2, 4)
        x = self.embedding(inputs)
        x = keras.ops.mean(x + self.attention(x, x), axis=1)
        super().__init__(inputs, keras.layers.Dense(2)(x), **kwargs)
        self.preprocessor = preprocessor
        self.width = width
        # As a sampler of KerasHub, Python cannot copy it.
        self.sampler = keras
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.compile("adam", loss)

    def preprocess_samples(self, x, y=None, sample_weight=None):
        x = self.preprocessor(x)
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def fit(self, x=None, y=None, batch_size=2, **kwargs):
        data = tf.data.Dataset.from_tensor_slices((x, y)).batch(batch_size)
        data = data.map(self.preprocess_samples)
        return super().fit(data, shuffle=False, **kwargs)

    def predict(self, x):
        return np.asarray(self(self.preprocessor(tf.constant(x))))

    def get_config(self):
        return {
            "preprocessor": keras.saving.serialize_keras_object(
                self.preprocessor
            ),
            "width": self.width,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        made = keras.saving.deserialize_keras_object(config["preprocessor"])
        return cls(**{**config, "preprocessor": made})


@pytest.mark.parametrize("used", [False, True])
def test_a_task_trains_on_texts_and_goes_back(used, tmp_path):
    task = Task(Preprocessor(["a", "b", "c"]))
    if used:
        task.predict(TEXTS)
    same = cb.sparsify(task, 0.0)
    np.testing.assert_array_equal(same.predict(TEXTS), task.predict(TEXTS))
    sparse = cb.sparsify(task, 0.5)
    assert len(masked_kernels(sparse)) == 5
    assert sparse.attention is not task.attention
    data = tf.data.Dataset.from_tensor_slices((TEXTS, LABELS)).batch(2)
    for dataset in (data, (TEXTS, LABELS)):
        moving = cb.callbacks.Reallocation("rigl(every=1)", dataset=dataset)
        sparse.fit(TEXTS, LABELS, verbose=0, callbacks=[moving])
    expected = sparse.predict(TEXTS)
    sparse.save(tmp_path / "task.keras")
    loaded = keras.models.load_model(tmp_path / "task.keras")
    np.testing.assert_array_equal(loaded.predict(TEXTS), expected)
    assert len(masked_kernels(loaded)) == 5
    plain = cb.strip(sparse)
    assert type(plain) is Task
    assert not masked_kernels(plain)
    np.testing.assert_array_equal(plain.predict(TEXTS), expected)
