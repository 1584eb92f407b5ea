"""What flags say becomes of the model and of its training."""

import dataclasses

import keras
import numpy as np
import pytest

from cb import datasets
from cb.callbacks.reallocation.probe import ProbeGradients
from cb.config import Config
from cb.config import default_run_dir
from cb.distribute.variables import read
from cb.errors import InputError
from cb.layers import GhostBatchNormalization
from cb.layers import TiedDense
from cb.layers.masked import masked_kernels
from cb.runs.directory import RunDirectory
from cb.training import assembly
from cb.training.summary import summarize


def configuration(**values):
    """Return a complete configuration of a small model."""
    values = {"model": "mlp(units=(16, 16))", "epochs": 4, **values}
    return assembly.completed(Config(**values))


def build(**values):
    """Build the model of a configuration on digits."""
    return assembly.build_model(
        configuration(**values), datasets.load("digits")
    )


def densities(model):
    return {
        kernel.name: float(np.mean(read(kernel.mask) != 0))
        for kernel in masked_kernels(model)
    }


def test_a_map_of_sparsities_holds_for_kinds_and_names():
    model = build(
        model="small_cnn(filters=(4, 4), units=16)",
        sparsity="conv=0.5,logits=0.75",
    )
    found = densities(model)
    assert found.pop("logits") == 0.25
    assert set(found.values()) == {0.5}
    assert len(found) == 2


def test_a_number_may_come_as_text():
    assert Config(sparsity="0.5").sparsity == 0.5
    assert Config(sparsity="0.5") == Config(sparsity=0.5)
    assert Config().sparsity == 0.9


@pytest.mark.parametrize("sparsity", ["conv=2", "conv=", "many", "1.0"])
def test_bad_sparsities_are_refused_before_anything_is_built(sparsity):
    with pytest.raises(InputError, match=r"in \[0, 1\)"):
        Config(sparsity=sparsity)


def test_a_pattern_that_matches_nothing_is_refused():
    with pytest.raises(InputError, match="matches no layer.*'conv'"):
        build(sparsity="conv=0.5")


def test_an_algorithm_may_say_how_long_training_takes():
    config = assembly.completed(
        configuration(
            epochs=3,
            reallocation="magnitude_pruning(iterations=4, start='1ep', "
            "every='2ep', post_epochs=5)",
        )
    )
    assert config.epochs == 1 + 2 * 3 + 5


def test_the_summary_repeats_what_was_asked_of_every_layer(tmp_path):
    config = configuration(sparsity="hidden_*=0.5,logits=0.75")
    reports = []
    model = assembly.build_model(
        config, datasets.load("digits"), reports.append
    )
    for kernel in masked_kernels(model):
        kernel.mask.assign(np.ones(kernel.mask.shape, bool))
    run = RunDirectory(str(tmp_path))
    summary = summarize(config, model, reports, {"accuracy": 1.0}, run)
    asked = {row["layer"]: row["density_asked"] for row in summary["layers"]}
    assert asked == {"hidden_1": 0.5, "hidden_2": 0.5, "logits": 0.25}


def test_cells_of_weights_live_and_die_together():
    model = build(granularity="block(rows=4, columns=2)", sparsity=0.5)
    for kernel in masked_kernels(model):
        rows, columns = kernel.mask.shape
        mask = read(kernel.mask).reshape(rows // 4, 4, columns // 2, 2)
        assert set(np.unique(mask.sum(axis=(1, 3)))) == {0, 8}
    assert configuration(granularity="block(2)").granularity == (
        "block(rows=2, columns=4)"
    )


def test_a_regularizer_is_given_to_the_masked_kernels():
    model = build(regularization="l1(1e-5)")
    for kernel in masked_kernels(model):
        penalty = kernel.layer.kernel_regularizer
        assert isinstance(penalty, keras.regularizers.L1)
        assert float(penalty.l1) == pytest.approx(1e-5)


def test_the_gradient_of_a_probe_holds_the_penalty():
    source = datasets.load("digits")
    batch = source.train.features[:7], source.train.labels[:7]
    gradients = []
    for strength in (0.0, 0.5):
        model = build(regularization=f"l2({strength})")
        model.compile(
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        kernels = masked_kernels(model)
        probe = ProbeGradients(model, kernels, lambda index: batch)
        gradients.append(probe(0))
    for kernel, without, penalized in zip(kernels, *gradients, strict=True):
        # The penalty is half the squares: its gradient is the weight.
        expected = without + read(kernel.mask) * read(kernel.weight)
        np.testing.assert_allclose(penalized, expected, atol=1e-6)


def test_shared_weights_take_the_place_of_masks():
    config = {
        "weight_sharing": "tied(rescale_gradient=True)",
        "reallocation": "static",
        "sparsity": 0.75,
    }
    model = build(**config)
    tied = [layer for layer in model.layers if isinstance(layer, TiedDense)]
    assert len(tied) == 3
    assert all(layer.rescale_gradient for layer in tied)
    assert masked_kernels(model) == []
    biases = 16 + 16 + 10
    values = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    weights = 64 * 16 + 16 * 16 + 16 * 10
    assert values == weights // 4 + biases


@pytest.mark.parametrize(
    "values, message",
    [
        ({"weight_sharing": "tied"}, "`reallocation` must be 'static'"),
        (
            {
                "weight_sharing": "tied",
                "reallocation": "static",
                "regularization": "l1",
            },
            "`regularization` must be 'none'",
        ),
        ({"weight_sharing": "tide"}, "Did you mean 'tied'"),
        (
            {"kernels": "csr", "reallocation": "dynamic_sparse"},
            "CSR kernels cannot",
        ),
        (
            {"kernels": "csr", "auto_tune": "auto_tune"},
            "`auto_tune` must be 'none'",
        ),
        ({"kernels": "csr(density=1)"}, "Unknown keyword in kernels `csr`"),
        ({"weight_sharing": "none(seed=1)"}, "Unknown keyword"),
        ({"granularity": "blok"}, "Did you mean 'block'"),
        ({"granularity": "block(rows=0)"}, "rows=0"),
        ({"regularization": "l3"}, "Unknown regularization"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        build(**values)


def ghosts(model):
    return [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]


NORMALIZED = "mnist_mlp"


def test_every_batch_normalization_becomes_one_over_ghosts():
    plain = build(model=NORMALIZED)
    model = build(
        model=NORMALIZED,
        normalization="ghost(size=10, running_statistics='per_step', "
        "momentum=0.5)",
    )
    assert len(ghosts(model)) == len(ghosts(plain)) == 3
    for layer in ghosts(model):
        assert isinstance(layer, GhostBatchNormalization)
        assert layer.virtual_batch_size == 10
        assert layer.running_statistics == "per_step"
        assert layer.momentum == 0.5
    for one, other in zip(
        masked_kernels(plain), masked_kernels(model), strict=True
    ):
        assert one.key == other.key
        np.testing.assert_array_equal(read(one.mask), read(other.mask))
        np.testing.assert_array_equal(read(one.weight), read(other.weight))


@pytest.mark.parametrize(
    "normalization, message",
    [
        ("ghost(size=0)", "`size`.*integer of at least 1.*size=0"),
        ("ghost(size=20, remainder='error')", "size=20, a batch of 50"),
        ("ghost(remainder='eror')", "Did you mean 'error'"),
        ("ghost(sise=3)", "Did you mean 'size'"),
        ("goast", "Did you mean 'ghost'"),
    ],
)
def test_bad_ghosts_are_refused(normalization, message):
    with pytest.raises(InputError, match=message):
        build(model=NORMALIZED, normalization=normalization)


def test_ghosts_need_a_batch_normalization():
    with pytest.raises(InputError, match="no `BatchNormalization`"):
        build(normalization="ghost")


def test_the_batch_of_a_replica_decides_under_error(two_replicas):
    with two_replicas.scope():
        build(model=NORMALIZED, normalization="ghost(5, remainder='error')")
        with pytest.raises(InputError, match="a batch of 25"):
            build(
                model=NORMALIZED, normalization="ghost(10, remainder='error')"
            )


USER_MODEL = """
import keras

import cb


@cb.models.REGISTRY.register("mine")
def mine(input_shape, num_classes, width=4):
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten()(inputs)
    x = keras.layers.Dense(width, activation="relu", name="hidden")(x)
    outputs = keras.layers.Dense(num_classes, name="head")(x)
    model = keras.Model(inputs, outputs, name="mine")
    model.always_dense = ["head"]
    return model
"""


def test_a_model_is_a_file_of_the_user(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(USER_MODEL)
    config = configuration(model=f"{file}", sparsity=0.5)
    assert config.model == f"{file}(width=4)"
    assert assembly.completed(config) == config
    assert default_run_dir(config).startswith("runs/mine_")
    model = assembly.build_model(config, datasets.load("digits"))
    assert set(densities(model)) == {"hidden"}
    everything = dataclasses.replace(config, exclude=[])
    model = assembly.build_model(everything, datasets.load("digits"))
    assert set(densities(model)) == {"hidden", "head"}
