"""Static training with the masks that another run has found."""

import numpy as np
import pytest

import cb
from cb.callbacks.training_state import model_variables
from cb.callbacks.training_state import read_all
from cb.config import Config
from cb.distribute.variables import read
from cb.layers.masked import masked_kernels
from cb.runs.checkpoint import Checkpoint
from cb.runs.checkpoint import CheckpointFolder
from cb.runs.directory import RunDirectory


@pytest.fixture
def source(tmp_path, build_model):
    """Return the folder of a run, its model and its first weights."""
    run = RunDirectory(str(tmp_path / "run"))
    run.path.mkdir()
    run.write_config(Config(), {})
    folder = CheckpointFolder(run.checkpoints)
    run.checkpoints.mkdir()
    model = build_model(seed=5)
    initial = read_all(model_variables(model))
    folder.save("initial", Checkpoint(initial, {}))
    kernel = masked_kernels(model)[0]
    kernel.mask.assign(np.roll(read(kernel.mask), 1))
    kernel.weight.assign(2.0 * read(kernel.weight))
    folder.save("last", Checkpoint(read_all(model_variables(model)), {}))
    return str(run.path), model, initial


def start(model, data, spec):
    """Return the kernels and masks that training starts with."""
    model.fit(
        data.take(0).concatenate(data.take(1)),
        callbacks=[cb.callbacks.Reallocation(spec)],
        verbose=0,
        shuffle=False,
    )
    kernel = masked_kernels(model)[0]
    return read(kernel.weight), read(kernel.mask)


@pytest.mark.parametrize("initial_weights", [False, True])
def test_masks_are_copied_with_or_without_initial_weights(
    initial_weights, source, build_model, batches, compile_model
):
    path, other, initial = source
    model = compile_model(build_model(seed=1))
    # No learning, so that what is there at the end was at the start.
    model.optimizer.learning_rate = 0.0
    own = read(masked_kernels(model)[0].weight)
    weights, mask = start(
        model,
        batches(),
        f"static(copy_mask_from={path!r}, initial_weights={initial_weights})",
    )
    np.testing.assert_array_equal(mask, read(masked_kernels(other)[0].mask))
    key = next(key for key in initial if key.endswith("kernel"))
    expected = initial[key] if initial_weights else own
    # Also where the model itself had no connection.
    np.testing.assert_array_equal(weights, np.where(mask, expected, 0.0))


def test_a_checkpoint_may_be_named(source, build_model, batches, compile_model):
    path, _, initial = source
    model = compile_model(build_model(seed=1))
    _, mask = start(
        model, batches(), f"static(copy_mask_from='{path}:initial')"
    )
    key = next(key for key in initial if key.endswith("mask"))
    np.testing.assert_array_equal(mask, initial[key])


def test_masks_of_a_run_on_csr_kernels_are_copied(
    source, build_model, batches, compile_model
):
    path, other, _ = source
    sparse = cb.to_csr(other, max_density=1.0, min_size=1)
    arrays = read_all(model_variables(sparse))
    folder = CheckpointFolder(RunDirectory(path).checkpoints)
    folder.save("last", Checkpoint(arrays, {}))
    model = compile_model(build_model(seed=1))
    _, mask = start(model, batches(), f"static(copy_mask_from={path!r})")
    np.testing.assert_array_equal(mask, read(masked_kernels(other)[0].mask))
    with pytest.raises(ValueError, match="`initial_weights` must be False"):
        cb.callbacks.Reallocation(
            f"static(copy_mask_from={path!r}, initial_weights=True)"
        )


def test_a_run_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must be named by its folder.*/no"):
        cb.callbacks.Reallocation(f"static(copy_mask_from='{tmp_path}/no')")


def test_initial_weights_of_nothing_are_refused():
    with pytest.raises(ValueError, match="needs `copy_mask_from`"):
        cb.reallocation.build("static(initial_weights=True)")
