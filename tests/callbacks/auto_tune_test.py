"""Auto-tune ends, and says why."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.auto_tuning.attempts import AutoTuneError
from cb.auto_tuning.loop import transfer
from cb.errors import InputError
from cb.layers.masked import masked_kernels

BATCH = 16


def data(count=64, classes=3):
    random = np.random.default_rng(0)
    labels = np.arange(count) % classes
    x = random.normal(size=(count, 6)).astype(np.float32)
    return x + 3 * np.eye(6, dtype=np.float32)[labels], labels


def builder(dead=(), seed=0, learning_rate=0.01):
    """Make a builder of `fnn`s; the blocks `dead` output zeros."""

    def build(blocks):
        keras.utils.set_random_seed(seed)
        model = cb.models.build(f"fnn(blocks={blocks}, width=8)", (6,), 3)
        for layer in model.layers:
            if layer.name.startswith("block"):
                layer.bias.assign(np.full(8, 0.5))
            if layer.name in dead:
                layer.kernel.assign(np.zeros(layer.kernel.shape))
                layer.bias.assign(np.full(8, -1.0))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(learning_rate, 0.1), loss)
        return model

    return build


def train(model, callbacks, attempt, epochs=3):
    del attempt
    model.fit(
        *data(), BATCH, epochs, verbose=0, callbacks=callbacks, shuffle=False
    )


def tuner(blocks, **kwargs):
    # Steps are large enough to tell all examples apart in a live layer.
    return cb.callbacks.AutoTune(
        data(),
        BATCH,
        blocks,
        **({"num_samples": 64, "learning_rate": 100.0} | kwargs),
    )


def tune(builder, blocks, **kwargs):
    defaults = {"num_samples": 64, "learning_rate": 100.0, "checks": 2}
    return cb.auto_tune(
        builder, train, data(), BATCH, blocks, **(defaults | kwargs)
    )


def test_training_goes_to_its_end_without_conflicts():
    callback, model = tuner((3,), checks=2), builder()((3,))
    train(model, [callback], 0)
    assert callback.outcome is None
    assert len(callback.measurements) == 2
    assert int(model.optimizer.iterations) == 12


@pytest.mark.parametrize(
    ("when", "steps", "checked_at"), [("after", 4, 4), ("before", 1, 0)]
)
def test_a_conflict_in_the_last_block_stops_training(when, steps, checked_at):
    callback, model = tuner((4,), when=when), builder({"block_3"})((4,))
    train(model, [callback], 0)
    assert callback.outcome == "conflict"
    assert callback.kept == [0, 1]
    assert callback.next_blocks == (2,)
    assert callback.steps == [checked_at]
    assert int(model.optimizer.iterations) == steps


def test_a_restored_gate_that_closed_is_closed():
    callback, model = tuner((4,)), builder({"block_3"})((4,))
    train(model, [callback], 0)
    other = tuner((4,))
    other.set_state(callback.get_state())
    assert other.outcome == "conflict"
    assert other.next_blocks == (2,)
    fresh = tuner((4,))
    fresh.set_state(tuner((4,)).get_state())
    assert fresh.outcome is None


@pytest.mark.parametrize("amplitude", ["layer", "model"])
def test_bundles_are_those_of_the_amplitude_asked_for(amplitude):
    def large(blocks):
        # No kernel that activations meet has it, only the model.
        model = builder()(blocks)
        model.get_layer("logits").bias.assign([1e12, 1e12, 1e12])
        return model

    callback, model = tuner((3,), amplitude=amplitude), large((3,))
    train(model, [callback], 0)
    conflicts = {"layer": None, "model": "conflict"}
    assert callback.outcome == conflicts[amplitude]


def test_conflicts_within_the_tolerance_are_none():
    callback, model = tuner((4,), tolerance=1.2), builder({"block_3"})((4,))
    train(model, [callback], 0)
    assert callback.measurements[0][-1].entropy == pytest.approx(1.0986, 1e-3)
    assert callback.outcome is None


def test_diverged_training_is_no_conflict():
    callback, model = tuner((2,)), builder()((2,))
    kernel = model.get_layer("block_2").kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    train(model, [callback], 0)
    assert (callback.outcome, callback.next_blocks) == ("diverged", None)


def test_blocks_and_recorded_layers_must_agree():
    with pytest.raises(InputError, match="one layer for each of the 5 blocks"):
        train(builder()((3,)), [tuner((5,))], 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "half"}, "`rule` of `AutoTune` must be .*'first_type'"),
        ({"when": "during"}, "`when` of `AutoTune` must be .*'before'"),
        ({"checks": 0}, "`checks` of `AutoTune` must be .* at least 1"),
        ({"tolerance": -1.0}, "`tolerance` of .* must be .* at least 0"),
    ],
)
def test_bad_arguments_are_one_clear_line(arguments, message):
    with pytest.raises(InputError, match=message):
        tuner((2,), **arguments)


def test_restarts_end_with_an_architecture_that_trains():
    tuning = tune(builder({"block_4"}), (6,), evaluate=lambda m: {"a": 0.5})
    first, last = tuning.attempts
    assert (first.blocks, first.outcome, first.next_blocks) == (
        (6,),
        "conflict",
        (3,),
    )
    assert list(first.entropies) == [f"block_{n}" for n in range(1, 7)]
    assert first.entropies["block_3"] == 0.0
    assert first.entropies["block_4"] > 1.0
    assert (last.blocks, last.outcome) == ((3,), "finished")
    assert last.results == {"a": 0.5}
    assert (first.steps, last.steps) == (4, 12)
    assert first.parameters - last.parameters == 3 * 72
    # Multiplications and additions of the kernels, and the biases.
    assert first.flops - last.flops >= 3 * (2 * 64 + 8)
    assert first.seconds > 0 and last.step_seconds > 0
    assert tuning.model.count_params() == last.parameters


def test_the_same_folder_goes_on_where_it_stopped(tmp_path):
    build = builder({"block_3"})
    with pytest.raises(AutoTuneError, match="only 0 restart") as error:
        tune(build, (4,), directory=tmp_path, restarts=0)
    assert [a.blocks for a in error.value.attempts] == [(4,)]
    with pytest.raises(AutoTuneError, match="only 0 restart"):
        tune(build, (4,), directory=tmp_path, restarts=0)
    tuning = tune(build, (4,), directory=tmp_path)
    assert [a.blocks for a in tuning.attempts] == [(4,), (2,)]
    for number in range(2):
        folder = tmp_path / f"attempt_{number}"
        assert (folder / "conflicting_layers.csv").stat().st_size > 0
        assert list((folder / "tensorboard").iterdir())
    again = cb.auto_tune(
        build, None, data(), BATCH, (4,), directory=tmp_path, num_samples=64
    )
    assert again.attempts == tuning.attempts
    for one, other in zip(
        again.model.get_weights(), tuning.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_folder_of_another_architecture_is_refused(tmp_path):
    tune(builder(), (2,), directory=tmp_path)
    with pytest.raises(InputError, match=r"began with blocks \(2,\)"):
        tune(builder(), (3,), directory=tmp_path)


def test_a_kill_between_attempts_loses_nothing(tmp_path):
    build = builder({"block_3"})

    def killed(model, callbacks, attempt):
        if attempt == 1:
            raise KeyboardInterrupt
        train(model, callbacks, attempt)

    with pytest.raises(KeyboardInterrupt):
        cb.auto_tune(
            build,
            killed,
            data(),
            BATCH,
            (4,),
            directory=tmp_path,
            num_samples=64,
            learning_rate=100.0,
        )
    saved = json.loads((tmp_path / "attempts.json").read_text("utf-8"))
    assert len(saved) == 1
    tuning = tune(build, (4,), directory=tmp_path)
    assert [a.blocks for a in tuning.attempts] == [(4,), (2,)]


def test_sparse_models_under_a_strategy_are_tuned(two_replicas):
    inner = builder({"block_3"})

    def build(blocks):
        with two_replicas.scope():
            model = cb.sparsify(inner(blocks), 0.2, exclude="logits")
            model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    def train_batches(model, callbacks, attempt):
        del attempt
        batches = tf.data.Dataset.from_tensor_slices(data()).batch(BATCH)
        callbacks = [*callbacks, cb.callbacks.Reallocation("set(every=2)")]
        model.fit(batches, verbose=0, callbacks=callbacks, shuffle=False)

    tuning = cb.auto_tune(
        build,
        train_batches,
        data(),
        BATCH,
        (4,),
        warm=True,
        num_samples=64,
        learning_rate=100.0,
    )
    assert [a.blocks for a in tuning.attempts] == [(4,), (2,)]
    assert connections(tuning.model).items() <= connections(build((4,))).items()


def connections(model):
    """Count the connections of the blocks by name."""
    return {k.name: int(k.mask.numpy().sum()) for k in masked_kernels(model)}


def test_nothing_left_is_said():
    with pytest.raises(AutoTuneError, match=r"every block of \(3,\) would be"):
        tune(builder({"block_1"}), (3,))


def test_divergence_is_said():
    with pytest.raises(AutoTuneError, match=r"blocks \(3,\) diverged"):
        tune(builder(learning_rate=1e30), (3,))


def test_controls_are_trained_at_the_end_and_kept(tmp_path):
    arguments = {"directory": tmp_path, "controls": ("full", "random")}
    tuning = tune(builder({"block_3"}), (4,), **arguments)
    assert [(a.kind, a.blocks) for a in tuning.attempts] == [
        ("tune", (4,)),
        ("tune", (2,)),
        ("full", (4,)),
        ("random", (2,)),
    ]
    assert tuning.attempts[2].steps == 12
    assert tuning.model.count_params() == tuning.attempts[1].parameters
    again = tune(builder({"block_3"}), (4,), **arguments)
    assert again.attempts == tuning.attempts


def test_nothing_removed_needs_no_control():
    tuning = tune(builder(), (2,), controls=("full", "random"))
    assert [attempt.kind for attempt in tuning.attempts] == ["tune"]


def test_unknown_controls_are_refused():
    with pytest.raises(InputError, match="Unknown control"):
        tune(builder(), (2,), controls=("half",))


def test_a_warm_restart_keeps_the_weights_of_surviving_blocks():
    seen = []

    def watch(model, callbacks, attempt):
        seen.append({x.path: x.numpy() for x in model.weights})
        train(model, callbacks, attempt)
        seen.append({x.path: x.numpy() for x in model.weights})

    cb.auto_tune(
        builder({"block_3"}),
        watch,
        data(),
        BATCH,
        (4,),
        warm=True,
        num_samples=64,
        learning_rate=100.0,
    )
    before, after, start, _ = seen
    assert len(start) == 6
    for path, value in start.items():
        np.testing.assert_array_equal(value, after[path])
    # Behind a block of zeros only the bias at the end has learnt.
    assert not before["logits/bias"].any()
    assert after["logits/bias"].all()


def test_weights_follow_their_block_not_its_number():
    old, new = builder()((4,)), builder(seed=1)((2,))
    transfer(old, new, kept=[1, 3])
    for source, target in (
        ("block_2", "block_1"),
        ("block_4", "block_2"),
        ("logits", "logits"),
    ):
        same = old.get_layer(source).get_weights()[0].shape == (
            new.get_layer(target).get_weights()[0].shape
        )
        equal = np.array_equal(
            old.get_layer(source).get_weights()[0],
            new.get_layer(target).get_weights()[0],
        )
        # The first block sees the data, and no other block did.
        assert equal == same == (target != "block_1")


def test_warm_needs_names_of_blocks():
    model = cb.models.build("mlp(units=(4,))", (6,), 3)
    with pytest.raises(InputError, match="`warm` needs layers named"):
        transfer(model, model, kept=[0])


@pytest.mark.parametrize("gate", [None, "pool"])
def test_another_layer_than_the_last_block_may_stop_the_training(gate):
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 4, 4, 1)).astype(np.float32)
    # All examples have the same mean in every channel, but differ.
    x -= x.mean(axis=(1, 2), keepdims=True)
    labels = np.arange(64) % 2
    inputs = keras.Input((4, 4, 1))
    block = keras.layers.Conv2D(
        1, 1, use_bias=False, kernel_initializer="ones", name="block_1"
    )(inputs)
    pool = keras.layers.GlobalAveragePooling2D(name="pool")(block)
    model = keras.Model(inputs, keras.layers.Dense(2)(pool))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-9), loss)
    tuner = cb.callbacks.AutoTune(
        (x, labels), 64, (1,), num_samples=64, learning_rate=1e-1, gate=gate
    )
    model.fit(x, labels, 64, 1, verbose=0, callbacks=[tuner])
    assert (tuner.outcome == "conflict") == (gate is not None)
    names = [measured.layer for measured in tuner.measurements[-1]]
    assert names == ["block_1", *([gate] if gate else [])]


def test_a_gate_is_a_layer_of_its_own():
    model = builder()((2,))
    x, y = np.zeros((4, 6), np.float32), np.zeros(4, int)
    tuner = cb.callbacks.AutoTune(
        (x, y), 4, (2,), num_samples=4, gate="block_1"
    )
    tuner.set_model(model)
    with pytest.raises(InputError, match="`gate` must name one layer"):
        tuner.on_train_begin()
