"""The contact sheet of a run, and the inputs of what it exports."""

import numpy as np
import pytest
import tensorflow as tf

from cb.config import Config
from cb.evaluation.saved_model import evaluate_saved_model
from cb.run_log import open_log
from cb.runs.directory import RunDirectory
from cb.training.data import build_data
from cb.training.input_sheet import write_input_sheet


def shown(folder):
    """Return the picture in TensorBoard."""
    (file,) = folder.glob("tensorboard/input/*")
    for record in tf.data.TFRecordDataset(str(file)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            return tf.io.decode_png(value.tensor.string_val[2]).numpy()


def write_table(folder):
    random = np.random.default_rng(0)
    numbers = random.random((80, 2)) * [1, 9]
    rows = [f"{x:.3f},{y:.3f},{n % 2}" for n, (x, y) in enumerate(numbers)]
    (folder / "table.csv").write_text("\n".join(["x,y,up", *rows]))
    return f"csv({str(folder / 'table.csv')!r}, 'up')"


@pytest.mark.parametrize("images", [True, False])
def test_a_sheet_is_a_file_and_in_tensorboard(tmp_path, images):
    table = write_table(tmp_path)
    config = Config(
        dataset="digits" if images else table,
        augmentation="pad_crop(2)|flip" if images else "auto",
        batch_size=10,
    )
    data = build_data(config, 1)
    run = RunDirectory(str(tmp_path))
    path = write_input_sheet(data, run, open_log(run, 1), seed=0)
    picture = tf.io.decode_png(tf.io.read_file(path)).numpy()
    assert picture.shape[0] > 200 and len(np.unique(picture)) > 10
    np.testing.assert_array_equal(picture, shown(tmp_path))


def test_views_are_what_training_sees():
    config = Config(augmentation="pad_crop(2)|brightness(0.3)", batch_size=20)
    batches = build_data(config, 1).batches
    step = 3 * batches.steps_per_epoch + 2
    ((features, labels),) = batches.dataset(step, step + 1)
    everything = batches.view(np.arange(batches.size), epoch=3).numpy()
    places = [
        int(np.flatnonzero((everything == one).all(axis=(1, 2, 3)))[0])
        for one in features.numpy()
    ]
    found = build_data(config, 1).examples.labels[places]
    np.testing.assert_array_equal(found, labels)


def test_a_saved_model_is_given_the_inputs_of_its_run(tmp_path):
    table = write_table(tmp_path)
    run = RunDirectory(str(tmp_path / "run"))
    config = Config(dataset=table, augmentation="standardize")
    run.write_config(config, {})
    seen = []

    class Identity(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 2])])
        def __call__(self, x):
            return {"logits": x}

    model = Identity()
    for folder in (run.export, tmp_path / "elsewhere"):
        tf.saved_model.save(model, str(folder), signatures=model.__call__)
    expected = build_data(config, 1)
    for folder, augmentation in (
        (run.export, None),
        (tmp_path / "elsewhere", None),
        (tmp_path / "elsewhere", "standardize"),
    ):
        scores = evaluate_saved_model(
            str(folder), table, augmentation=augmentation
        )
        seen.append(scores["loss"])
    ((features, labels),) = expected.test.unbatch().batch(1000)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, features)
    assert seen[0] == pytest.approx(float(tf.reduce_mean(losses)), rel=1e-5)
    assert seen[1] > 1.2 * seen[0]
    assert seen[2] == pytest.approx(seen[0], rel=0.05)
