"""Probe data of every kind give the batches that `fit` would train on."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.callbacks.reallocation.current_fit import current_fit
from cb.callbacks.reallocation.probe_batches import Batches
from cb.callbacks.reallocation.probe_batches import probe_batches
from cb.errors import InputError

X = np.random.default_rng(0).normal(size=(20, 6)).astype("float32")
Y = np.arange(20) % 3


class Pieces(keras.utils.PyDataset):
    """Batches of eight examples."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        part = slice(8 * index, 8 * index + 8)
        return X[part], Y[part]


class Look(keras.callbacks.Callback):
    """Notes what the `fit` that calls it trains on."""

    def on_train_begin(self, logs=None):
        self.fit = current_fit()


def looked(model, *args, **kwargs):
    look = Look()
    model.fit(*args, **kwargs, verbose=0, shuffle=False, callbacks=[look])
    return look.fit


@pytest.fixture
def model(build_model, compile_model):
    return compile_model(build_model())


def slices():
    return tf.data.Dataset.from_tensor_slices((X, Y))


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        [X, Y],
        (tf.constant(X), tf.constant(Y)),
        slices(),
        slices().map(lambda x, y: (x, y)),
        slices().batch(8),
        Pieces(),
        lambda index: Pieces()[index % 3],
    ],
    # Parallel workers must agree on them; addresses differ.
    ids=[
        "pair",
        "list",
        "tensors",
        "examples",
        "mapped",
        "batches",
        "sequence",
        "function",
    ],
)
def test_data_are_cut_into_the_batches_of_fit(data, model):
    fit = looked(model, X, Y, batch_size=8)
    assert fit.batch_size == 8
    batch = probe_batches(data, fit)
    for index in (0, 1, 2, 3, 5, 1):
        part = slice(8 * (index % 3), 8 * (index % 3) + 8)
        x, y = batch(index)
        np.testing.assert_array_equal(x, X[part])
        np.testing.assert_array_equal(y, Y[part])


def test_class_weights_of_fit_weigh_the_examples(model):
    fit = looked(
        model, X, Y, batch_size=8, class_weight={0: 2.0, 1: 0.5, 2: 1.0}
    )
    of_classes = np.array([2.0, 0.5, 1.0], "float32")
    own = np.ones(20, "float32")
    for data in ((X, Y), slices(), Pieces()):
        _, y, weights = probe_batches(data, fit)(1)
        np.testing.assert_array_equal(weights, of_classes[np.asarray(y)])
    _, _, weights = probe_batches((X, Y, own), fit)(1)
    np.testing.assert_array_equal(weights, own[8:16])


def test_rigl_grows_by_the_weighted_loss(build_model, compile_model):
    # The same loss, by classes and by examples.
    of_classes = {0: 9.0, 1: 0.1, 2: 0.1}
    of_examples = np.array([of_classes[label] for label in Y], "float32")
    found = []
    for data, options in (
        ((X, Y), {"class_weight": of_classes}),
        ((X, Y, of_examples), {"sample_weight": of_examples}),
        ((X, Y), {}),
    ):
        model = compile_model(build_model())
        callback = cb.callbacks.Reallocation("rigl(every=2, end=1.0)", data)
        options |= {"verbose": 0, "shuffle": False, "callbacks": [callback]}
        model.fit(X, Y, 5, 2, **options)
        found.append(model.get_weights())
    for one, two in zip(found[0], found[1], strict=True):
        np.testing.assert_array_equal(one, two)
    assert any(map(lambda a, b: (a != b).any(), found[0], found[2]))


def test_fit_tells_its_batch_size(model):
    assert looked(model, X, Y).batch_size == 32
    assert looked(model, slices().batch(4)).batch_size == 4
    repeated = slices().batch(4, drop_remainder=True).repeat(2).prefetch(1)
    assert looked(model, repeated).batch_size == 4
    mapped = slices().batch(7).map(lambda x, y: (x, y))
    assert looked(model, mapped).batch_size == 7
    assert looked(model, Pieces()).batch_size == 32


def test_fit_tells_its_callbacks_and_nobody_else_does(model):
    assert type(looked(model, X, Y).callbacks[0]) is Look
    assert current_fit() is None


def test_a_fit_that_a_tool_has_replaced_tells_the_same(model, monkeypatch):
    # Tools that log trainings do so, not all of them with `functools.wraps`.
    fit = keras.Model.fit

    def logged(self, *args, **kwargs):
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(keras.Model, "fit", logged)
    assert looked(model, slices().batch(4)).batch_size == 4


@pytest.mark.parametrize("data", [(X, Y), slices()], ids=["arrays", "slices"])
def test_rigl_trains_as_on_the_batched_data_set(
    data, build_model, compile_model
):
    kernels = []
    for source in (data, slices().batch(5)):
        model = compile_model(build_model())
        callback = cb.callbacks.Reallocation("rigl(every=2, end=1.0)", source)
        model.fit(X, Y, 5, 2, verbose=0, shuffle=False, callbacks=[callback])
        kernels.append(model.get_weights())
    for one, two in zip(*kernels, strict=True):
        np.testing.assert_array_equal(one, two)


def test_what_is_read_only_once_is_refused():
    batches = (batch for batch in slices().batch(5))
    with pytest.raises(InputError, match="from_generator.*<generator"):
        cb.callbacks.Reallocation("rigl", batches)
    with pytest.raises(InputError, match="read again"):
        cb.callbacks.Reallocation("rigl", iter(slices()))
    with pytest.raises(InputError, match="from_generator.*<function"):
        cb.callbacks.Reallocation("rigl", forever)


def forever():
    while True:
        yield X, Y


def test_what_is_no_data_is_refused():
    with pytest.raises(InputError, match="arrays, .*Received: a str"):
        probe_batches("train.csv", None)


def test_data_that_do_not_fit_the_model_are_refused_in_a_line(model):
    callback = cb.callbacks.Reallocation("rigl(every=1)", (X[:, :5], Y))
    message = "`dataset` must have batches that the model.* Received: .*shape"
    with pytest.raises(InputError, match=message) as caught:
        model.fit(X, Y, verbose=0, callbacks=[callback])
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


def test_an_empty_data_set_does_not_end_the_epoch():
    with pytest.raises(InputError, match="at least one batch"):
        Batches(slices().batch(5).take(0))(0)


def test_probe_batches_are_as_large_as_those_of_each_fit(model, monkeypatch):
    """The callback of one training serves another with other batches."""
    callback = cb.callbacks.Reallocation("rigl(every=1, end=1.0)", (X, Y))
    sizes, read = set(), Batches._next

    def noted(self):
        batch = read(self)
        sizes.add(len(batch[0]))
        return batch

    monkeypatch.setattr(Batches, "_next", noted)
    for size in (4, 10):
        sizes.clear()
        model.fit(*(X, Y, size), verbose=0, shuffle=False, callbacks=[callback])
        assert sizes == {size}
