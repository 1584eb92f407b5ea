"""Data sets of TensorFlow Datasets: what is a feature, and what a label."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from cb import datasets
from cb.errors import InputError

NUMBER = 20


def prepare(folder, features, rows, keys=None, name="made"):
    """Write a data set with supervised keys, as its builder does."""

    # It is read as one that others have prepared.
    with tfds.core.registered.skip_registration():

        class Made(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("1.0.0")

            def _info(self):
                return tfds.core.DatasetInfo(
                    builder=self,
                    features=tfds.features.FeaturesDict(features),
                    supervised_keys=keys,
                    disable_shuffling=True,
                )

            def _split_generators(self, manager):
                return {"train": self._generate_examples()}

            def _generate_examples(self):
                yield from enumerate(rows)

    Made.name = name
    Made(data_dir=folder).download_and_prepare()


def load(folder, *options):
    given = ", ".join(["'made'", "test='train'", *options])
    return datasets.load(f"tfds({given})", str(folder))


SCALAR = np.float32


@pytest.mark.parametrize("train", ["train", "train[:80%]"])
def test_no_example_is_trained_and_tested_on(train, tmp_path, monkeypatch):
    """The default part for testing is none that is trained on."""
    monkeypatch.setattr("cb.datasets.tfds_loading.TEST_SPLITS", ("train",))
    rows = [{"x": n, "label": n % 2} for n in range(NUMBER)]
    classes = tfds.features.ClassLabel(num_classes=2)
    prepare(tmp_path, {"x": SCALAR, "label": classes}, rows, ("x", "label"))
    source = datasets.load(f"tfds('made', train={train!r})", str(tmp_path))
    parts = [{*part.features.ravel()} for part in (source.train, source.test)]
    assert all(parts) and not parts[0] & parts[1]


def test_supervised_keys_decide(tmp_path, capsys):
    classes = tfds.features.ClassLabel(num_classes=3)
    features = {
        "a": SCALAR,
        "answer": classes,
        "b": SCALAR,
        "first": tfds.features.ClassLabel(num_classes=2),
        "word": tfds.features.Text(),
    }
    rows = [
        {"a": n, "answer": n % 3, "b": -n, "first": n % 2, "word": "w"}
        for n in range(NUMBER)
    ]
    inputs = {"b": "b", "word": "word"}
    prepare(tmp_path, features, rows, (inputs, "answer"))
    source = load(tmp_path)
    assert (source.label, source.feature_names) == ("answer", ("b",))
    assert "Not read, as they are no numbers: word" in capsys.readouterr().out
    np.testing.assert_array_equal(source.train.labels, np.arange(NUMBER) % 3)
    # A label that is asked for.
    assert load(tmp_path, "label='first'").num_classes == 2


def test_the_supervised_image_is_the_feature(tmp_path):
    shape = (4, 4, 1)
    features = {
        "depth": tfds.features.Image(shape=shape),
        "image": tfds.features.Image(shape=shape),
        "label": tfds.features.ClassLabel(num_classes=2),
    }
    rows = [
        {
            "depth": np.full(shape, 200, np.uint8),
            "image": np.full(shape, n, np.uint8),
            "label": n % 2,
        }
        for n in range(NUMBER)
    ]
    prepare(tmp_path, features, rows, ("image", "label"))
    found = load(tmp_path).train.features
    np.testing.assert_array_equal(found[:, 0, 0, 0], range(NUMBER))


@pytest.mark.parametrize(
    "kind, values, names",
    [
        (tfds.features.Text(), ["no", "yes"], ("no", "yes")),
        (np.bool_, [False, True], ("False", "True")),
        (np.int64, [7, 2**40], ("7", str(2**40))),
        (np.int32, [-1, 1], ("-1", "1")),
        (np.float32, [1.0, 3.0], ("1", "3")),
    ],
)
@pytest.mark.parametrize("images", [False, True])
def test_labels_of_any_type(tmp_path, kind, values, names, images):
    shape = (4, 4, 1)
    x = tfds.features.Image(shape=shape) if images else SCALAR
    rows = [
        {
            "x": np.full(shape, n, np.uint8) if images else n,
            "label": values[n % 2],
        }
        for n in range(NUMBER)
    ]
    prepare(tmp_path, {"x": x, "label": kind}, rows)
    source = load(tmp_path)
    assert source.class_names == names and source.num_classes == 2
    np.testing.assert_array_equal(source.train.labels, np.arange(NUMBER) % 2)


def test_images_on_disk_with_words_for_labels(tmp_path):
    features = {
        "image": tfds.features.Image(encoding_format="png"),
        "label": tfds.features.Text(),
    }
    rows = [
        {
            "image": np.full((4 + n, 4, 3), n, np.uint8),
            "label": "ab"[n % 2] if n else "",
        }
        for n in range(NUMBER)
    ]
    tfds.dataset_builders.store_as_tfds_dataset(
        "made",
        "1.0.0",
        tfds.features.FeaturesDict(features),
        {"train": list(enumerate(rows))},
        data_dir=tmp_path,
        disable_shuffling=True,
        file_format="array_record",
    )
    # Its labels are kept beside it after the first time.
    for _ in range(2):
        with pytest.raises(InputError, match="example 0, column 'label'"):
            load(tmp_path)
    source = load(tmp_path, "missing='drop'")
    assert source.class_names == ("a", "b") and len(source.train) == 19
    (content,) = source.train.features.encoded(np.array([4])).numpy()
    assert source.train.features.decode(content).numpy()[0, 0, 0] == 5
    assert list(source.train.labels[:3]) == [1, 0, 1]


def test_numbers_that_are_missing_and_booleans(tmp_path):
    rows = [
        {
            "flag": n % 3 == 0,
            "x": np.array([n, np.nan if n == 5 else 1.0]),
            "label": n % 2,
        }
        for n in range(NUMBER)
    ]
    x = tfds.features.Tensor(shape=(2,), dtype=np.float64)
    label = tfds.features.ClassLabel(names=["no", "yes"])
    prepare(tmp_path, {"flag": np.bool_, "x": x, "label": label}, rows)
    with pytest.raises(InputError, match=r"example 5, column 'x\[1\]'"):
        load(tmp_path)
    source = load(tmp_path, "missing='drop'")
    assert source.feature_names == ("flag", "x[0]", "x[1]")
    assert source.class_names == ("no", "yes")
    kept = [n for n in range(NUMBER) if n != 5]
    expected = [[n % 3 == 0, n, 1] for n in kept]
    np.testing.assert_array_equal(source.train.features, expected)
    assert source.train.features.dtype == np.float32


def test_labels_that_are_none(tmp_path):
    shape = (4, 4, 1)
    features = {
        "x": tfds.features.Image(shape=shape),
        "mask": tfds.features.Image(shape=shape),
        "name": tfds.features.ClassLabel(num_classes=2),
    }
    image = np.zeros(shape, np.uint8)
    rows = [{"x": image, "mask": image, "name": n % 2} for n in range(4)]
    prepare(tmp_path, features, rows, ("x", "mask"))
    with pytest.raises(InputError, match=r"one value .* \['name'\]"):
        load(tmp_path)
    assert load(tmp_path, "label='name'").num_classes == 2
    with pytest.raises(InputError, match="no feature 'nmae'"):
        load(tmp_path, "label='nmae'")
