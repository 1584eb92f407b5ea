"""Data sets of the user's own and of TFDS, on generated data."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import download_manager

from cb import datasets
from cb.datasets import electricity_builder
from cb.datasets.augmentation import build
from cb.datasets.electricity import COLUMNS
from cb.datasets.pipeline import TrainingBatches
from cb.datasets.pipeline import evaluation_batches
from cb.errors import InputError
from tests.commands import run

CLASSES = ("cat", "dog")


def write_csv(folder, rows, name="table.csv"):
    path = folder / name
    path.write_text("\n".join(rows) + "\n")
    return str(path)


def rows(number=40):
    return ["a,b,kind", *[f"{n},{n / 8},{n % 2}" for n in range(number)]]


def write_folder(folder, parts=("",), number=10):
    """Write grey images of several sizes; the first pixel says which."""
    for part in parts:
        for label, name in enumerate(CLASSES):
            (folder / part / name).mkdir(parents=True)
            for place in range(number):
                image = np.full((8 + place, 12, 3), 10 * place + label)
                data = tf.io.encode_png(image.astype(np.uint8)).numpy()
                (folder / part / name / f"{place:02}.png").write_bytes(data)
    return str(folder)


def test_a_table_is_read_and_cut(tmp_path):
    path = write_csv(tmp_path, rows())
    source = datasets.load(f"csv(path={path!r}, label='kind')")
    assert (len(source.train), len(source.test)) == (32, 8)
    assert source.input_shape == (2,) and source.class_names == ("0", "1")
    whole = np.concatenate([source.train.features, source.test.features])
    assert sorted(whole[:, 0]) == list(range(40))
    labels = source.train.features[:, 0] % 2
    np.testing.assert_array_equal(source.train.labels, labels)
    timed = datasets.load(f"csv(path={path!r}, label='kind', order='time')")
    np.testing.assert_array_equal(timed.test.features[:, 0], range(32, 40))
    one = datasets.load(f"csv(path={path!r}, label='kind', columns=('b',))")
    assert one.input_shape == (1,)


def test_defaults_that_came_later_leave_the_folders_of_runs(tmp_path):
    spec = str(datasets.complete("csv('t.csv', 'kind')"))
    assert spec == (
        "csv(path='t.csv', label='kind', columns=None, test=None, "
        "test_fraction=0.2, order='random')"
    )
    assert "sep=';'" in str(datasets.complete("csv('t.csv', 'k', sep=';')"))


def test_a_table_with_words_for_classes_and_a_test_file(tmp_path):
    train = write_csv(tmp_path, ["x,y", "1,up", "2,down", "3,up"])
    test = write_csv(tmp_path, ["x,y", "5,up", "6,down"], "test.csv")
    source = datasets.load(f"csv({train!r}, 'y', test={test!r})")
    assert source.class_names == ("down", "up")
    assert list(source.train.labels) == [1, 0, 1]
    np.testing.assert_array_equal(source.test.features, [[5], [6]])


@pytest.mark.parametrize(
    "content, message",
    [
        (["a,b", "1,2"], "no column 'kind'.*'a', 'b'"),
        (["a,kind", "1,0", "x,1", "3,0"], "'x' in row 2, column 'a'"),
        (["a,kind", "1,0", ",1"], "in row 2, column 'a'"),
        (["a,kind", "1,0", "inf,1"], "'inf' in row 2, column 'a'"),
        (["a,kind", "1,0.5", "2,1"], "0.5 in row 1"),
        (["a,kind", "1,0", "2"], "no CSV table"),
        (["a,a,kind", "1,2,0"], "'a' is in .* twice"),
        (["a,kind"], "no example"),
    ],
)
def test_bad_tables(tmp_path, content, message):
    path = write_csv(tmp_path, content)
    with pytest.raises(InputError, match=message):
        datasets.load(f"csv({path!r}, 'kind')")


def test_a_table_that_is_not_there():
    with pytest.raises(InputError, match="must be a file"):
        datasets.load("csv('nowhere.csv', 'kind')")


def test_a_folder_of_images_stays_on_disk(tmp_path):
    path = write_folder(tmp_path / "images", ("train", "val"))
    source = datasets.load(f"folder({path!r})")
    assert source.input_shape == (None, None, 3)
    assert source.class_names == CLASSES
    assert (len(source.train), len(source.test)) == (20, 20)
    batches = TrainingBatches(source.train, 5, 0, "random_resized_crop(6)|flip")
    seen = []
    for features, labels in batches.dataset(0, 4):
        assert features.shape == (5, 6, 6, 3)
        values = np.round(features[:, 0, 0, 0].numpy() * 255)
        np.testing.assert_array_equal(values % 10, labels)
        seen += list(values)
    assert sorted(seen) == sorted(10 * n + k for n in range(10) for k in (0, 1))


def test_batches_of_files_do_not_depend_on_their_size(tmp_path):
    path = write_folder(tmp_path / "images")
    source = datasets.load(f"folder({path!r}, test_fraction=0.5)")
    chain = "resize(9)|pad_crop(1)|brightness(0.2)|random_crop(8)"
    found = []
    for size in (2, 5):
        batches = TrainingBatches(source.train, size, 3, chain)
        batches = batches.dataset(0, batches.steps_per_epoch)
        found.append(sorted(float(x[0, 0, 0]) for x, _ in batches.unbatch()))
    assert found[0] == found[1]
    test = evaluation_batches(source.test, 4, chain=build(chain).evaluation())
    assert sum(len(y) for _, y in test) == 10


def test_other_files_have_another_digest(tmp_path):
    one, same = (write_folder(tmp_path / part / "images") for part in "ab")
    spec = "folder({!r}, test_fraction=0.5)"

    def digests(path):
        parts = datasets.load(spec.format(path)).parts()
        return [part.digests() for part in parts.values()]

    before = digests(one)
    assert digests(same) == before
    image = tmp_path / "b" / "images" / "cat" / "03.png"
    with image.open("ab") as opened:
        opened.write(b"\0")
    assert digests(same) != before
    image.write_bytes(image.read_bytes()[:-1])
    assert digests(same) == before
    image.rename(image.with_name("03b.png"))
    assert digests(same) != before


def test_a_file_smaller_than_the_crop_is_one_line(tmp_path):
    path = write_folder(tmp_path / "images")
    code, _, errors = run(
        "train.py",
        f"--dataset=folder({path!r})",
        "--augmentation=random_crop(10)",
        "--batch_size=4",
        "--epochs=1",
        folder=tmp_path,
    )
    assert code == 2, errors
    (line,) = errors.splitlines()
    assert "`size` needs images of at least 10x10 pixels" in line


@pytest.mark.parametrize(
    "folders, message",
    [
        ([], "two classes.*Received: \\[\\]"),
        (["cat", "dog"], "must hold images"),
        (["train/cat", "train/dog", "val/cow"], "not trained on: 'cow'"),
    ],
)
def test_bad_folders(tmp_path, folders, message):
    for name in folders:
        (tmp_path / name).mkdir(parents=True)
    if "train/cat" in folders:
        write_folder(tmp_path / "other")
        for name in CLASSES:
            file = tmp_path / "other" / name / "00.png"
            file.rename(tmp_path / "train" / name / "00.png")
        tmp_path.joinpath("other").rename(tmp_path.parent / "moved")
    with pytest.raises(InputError, match=message):
        datasets.load(f"folder({str(tmp_path)!r})")


def prepare(name, version, features, examples, folder, **options):
    """Write a prepared data set of TFDS with the same examples everywhere."""
    splits = options.pop("splits", ("train", "test"))
    tfds.dataset_builders.store_as_tfds_dataset(
        name,
        version,
        tfds.features.FeaturesDict(features),
        {split: list(enumerate(examples)) for split in splits},
        data_dir=folder,
        disable_shuffling=True,
        **options,
    )


def images(number, shape):
    random = np.random.default_rng(0)
    for place in range(number):
        size = [side or 8 + place for side in shape]
        yield {
            "image": random.integers(0, 256, size, np.uint8),
            "label": place % 10,
        }


def test_a_prepared_data_set_is_read_in_order(tmp_path):
    examples = list(images(20, (28, 28, 1)))
    features = {
        "image": tfds.features.Image(shape=(28, 28, 1)),
        "label": tfds.features.ClassLabel(num_classes=10),
    }
    prepare("mnist", "3.0.1", features, examples, tmp_path)
    source = datasets.load("mnist", str(tmp_path))
    expected = np.stack([example["image"] for example in examples])
    np.testing.assert_array_equal(source.train.features, expected)
    assert source.preparations["big_batch"].corrected
    with pytest.raises(InputError, match="splits.*Received: 'extra'"):
        datasets.load("tfds('mnist', train='extra')", str(tmp_path))


def test_large_images_are_read_one_by_one(tmp_path):
    examples = list(images(12, (None, 9, 3)))
    features = {
        "image": tfds.features.Image(encoding_format="png"),
        "label": tfds.features.ClassLabel(num_classes=10),
    }
    where = {"splits": ("train", "validation"), "config": "full-size-v2"}
    args = ("imagenette", "1.0.0", features, examples)
    prepare(*args, tmp_path / "one", file_format="array_record", **where)
    for again in range(2):
        source = datasets.load("imagenette", str(tmp_path / "one"))
        assert source.input_shape == (None, None, 3), again
        labels = [example["label"] for example in examples]
        assert list(source.test.labels) == labels
    chain = "resize(9)|center_crop(9)"
    batches = TrainingBatches(source.train, 3, 0, chain).dataset(0, 4)
    values = {
        float(x) for x in batches.map(lambda x, y: x[:, 4, 4, 0]).unbatch()
    }
    assert len(values) == 12
    prepare(*args, tmp_path / "two", file_format="tfrecord", **where)
    with pytest.raises(InputError, match="--file_format=array_record"):
        datasets.load("imagenette", str(tmp_path / "two"))


def test_features_of_tfds_and_a_test_part_of_ours(tmp_path):
    examples = [
        {"class_label": np.float32(n % 2), "x": float(n), "y": -1.0}
        for n in range(30)
    ]
    features = {
        "class_label": np.float32,
        "x": np.float64,
        "y": np.float64,
    }
    prepare("mine", "1.0.0", features, examples, tmp_path, splits=("train",))
    source = datasets.load("tfds('mine')", str(tmp_path))
    assert (len(source.train), len(source.test)) == (24, 6)
    assert (source.input_shape, source.num_classes) == ((2,), 2)
    np.testing.assert_array_equal(
        source.train.labels, source.train.features[:, 0] % 2
    )


def test_names_that_nobody_knows():
    with pytest.raises(InputError, match="Did you mean 'mnist'"):
        datasets.load("mnsit")
    assert datasets.complete("kmnist").args == ()
    assert datasets.complete("kmnist").kwargs["name"] == "kmnist"


def arff(folder, number=60):
    lines = ["@relation electricity"]
    for name in electricity_builder.NUMBERS:
        kind = "{1,2,3,4,5,6,7}" if name == "day" else "numeric"
        lines.append(f"@attribute {name} {kind}")
    lines += ["@attribute class {UP,DOWN}", "@data"]
    for n in range(number):
        values = [n / 60, n % 7 + 1, *[n + 0.5] * 6]
        kind = "UP" if n % 3 == 0 else "DOWN"
        lines.append(",".join([*map(str, values), kind]))
    return write_csv(folder, lines, "electricity.arff")


def test_electricity_is_built_from_its_source(tmp_path, monkeypatch):
    path = arff(tmp_path)
    manager = download_manager.DownloadManager
    monkeypatch.setattr(manager, "download", lambda self, url: path)
    with pytest.raises(InputError, match="45312 rows.*Received: 60, 20.*train"):
        datasets.load("electricity", str(tmp_path / "data"))
    assert not (tmp_path / "data").exists()
    monkeypatch.setattr(electricity_builder, "ROWS", 60)
    monkeypatch.setattr(electricity_builder, "ROWS_UP", 20)
    source = datasets.load("electricity(order='time')", str(tmp_path / "data"))
    assert source.input_shape == (len(COLUMNS),)
    dates = np.concatenate(
        [source.train.features[:, 0], source.test.features[:, 0]]
    )
    np.testing.assert_allclose(dates, np.arange(60) / 60, atol=1e-6)
    np.testing.assert_array_equal(source.train.labels[:4], [1, 0, 0, 1])
    assert (len(source.train), len(source.test)) == (42, 18)
    mixed = datasets.load("electricity", str(tmp_path / "data"))
    assert set(mixed.test.features[:, 0]).isdisjoint(mixed.train.features[:, 0])


def test_electricity_takes_the_columns_that_a_file_has(tmp_path):
    lines = ["period,nswprice,transfer,class"]
    lines += [f"{n},{n * 2},{n * 3},{n % 2}" for n in range(20)]
    path = write_csv(tmp_path, lines)
    source = datasets.load(f"electricity(path={path!r})")
    assert source.input_shape == (3,) and source.class_names == ("DOWN", "UP")
    with pytest.raises(InputError, match="one of 'random', 'time'"):
        datasets.load(f"electricity(path={path!r}, order='none')")
