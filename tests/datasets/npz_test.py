"""Files of NumPy arrays, as other people write them."""

import numpy as np
import pytest

from cb import datasets
from cb.errors import InputError

RANDOM = np.random.default_rng(0)
LABELS = np.arange(40) % 2
BYTES = RANDOM.integers(0, 256, (40, 6, 5, 3), np.uint8)
ROWS = RANDOM.normal(size=(40, 3))


def load(folder, *given, **arrays):
    options = ", ".join(given)
    np.savez(folder / "a.npz", **arrays)
    path = str(folder / "a.npz")
    return datasets.load(f"npz({path!r}{', ' * bool(given)}{options})")


def named(train, test):
    """Return arrays under six names that are in use, and the axes of each."""
    for x, y, order in (
        ("x", "y", "{0}_{1}"),
        ("X", "y", "{0}_{1}"),
        ("images", "labels", "{1}_{0}"),
        ("data", "target", "{0}.{1}"),
        ("features", "label", "{1}-{0}"),
        ("image", "classes", "{0} {1}"),
    ):
        yield {
            order.format(name, word): array
            for word, (features, labels) in (("train", train), ("Test", test))
            for name, array in ((x, features), (y, labels))
        }


def test_parts_and_arrays_have_the_names_in_use(tmp_path):
    train, test = (BYTES[:30], LABELS[:30]), (BYTES[30:], LABELS[30:])
    for arrays in named(train, test):
        source = load(tmp_path, **arrays)
        np.testing.assert_array_equal(source.train.features, BYTES[:30])
        np.testing.assert_array_equal(source.test.features, BYTES[30:])
        np.testing.assert_array_equal(source.train.labels, LABELS[:30])
        np.testing.assert_array_equal(source.test.labels, LABELS[30:])
        assert source.validation is None and source.num_classes == 2


def test_three_parts_are_each_itself(tmp_path, capsys):
    places = {"train": slice(0, 20), "val": slice(20, 30)}
    arrays = {}
    for part, place in places.items():
        arrays |= {f"{part}_images": BYTES[place]}
        # As MedMNIST writes them.
        arrays |= {f"{part}_labels": LABELS[place, None]}
    source = load(tmp_path, **arrays)
    np.testing.assert_array_equal(source.test.features, BYTES[20:30])
    assert "'val_images' is the test part" in capsys.readouterr().out
    arrays |= {"test_images": BYTES[30:], "test_labels": LABELS[30:, None]}
    source = load(tmp_path, **arrays)
    np.testing.assert_array_equal(source.validation.features, BYTES[20:30])
    np.testing.assert_array_equal(source.test.features, BYTES[30:])


@pytest.mark.parametrize(
    "features",
    [
        BYTES,
        BYTES[..., 0],
        BYTES.astype(np.int64),
        BYTES / 255,
        (BYTES / 255).astype(np.float16)[..., 0],
        BYTES > 99,
        ROWS,
        ROWS.astype(np.float32),
        BYTES[:, 0, :, 0],
        ROWS[:, 0],
    ],
)
def test_features_are_what_the_file_holds(tmp_path, features):
    source = load(tmp_path, x=features, y=LABELS)
    whole = source.train.features, source.test.features
    assert [len(part) for part in whole] == [32, 8]
    found = np.concatenate(whole)
    pixels = features.ndim > 2 and features.dtype.kind in "iu"
    assert found.dtype == (np.uint8 if pixels else np.float32)
    if features.ndim in (1, 3):
        features = features[..., None]
    expected = features.astype(found.dtype)
    assert {row.tobytes() for row in found} == {e.tobytes() for e in expected}
    assert found.shape == expected.shape


@pytest.mark.parametrize(
    "labels, names",
    [
        (np.array(["no", "yes"])[LABELS], ("no", "yes")),
        (np.array([b"no", b"yes"])[LABELS], ("no", "yes")),
        (LABELS == 1, ("False", "True")),
        (LABELS * 10.0 - 3, ("-3", "7")),
        (LABELS.astype(np.uint64) + 2**63, (f"{2**63}", f"{2**63 + 1}")),
    ],
)
def test_labels_of_any_type(tmp_path, labels, names):
    source = load(tmp_path, x=ROWS, y=labels)
    assert source.class_names == names
    places = [ROWS[:, 0].tolist().index(x) for x in find(source.train)]
    np.testing.assert_array_equal(source.train.labels, LABELS[places])


def find(part):
    near = np.abs(ROWS[:, 0] - part.features[:, :1]).argmin(axis=1)
    return ROWS[near, 0]


def test_names_of_the_users_own_and_a_test_file(tmp_path, capsys):
    np.savez(tmp_path / "t.npz", signal=ROWS[:4] + 9, digit=LABELS[:4])
    given = ["features='signal'", "label='digit'", f"test='{tmp_path}/t.npz'"]
    source = load(tmp_path, *given, signal=ROWS, digit=LABELS, other=LABELS)
    assert "Not read" in capsys.readouterr().out
    assert len(source.train) == 40
    np.testing.assert_array_equal(
        source.test.features, (ROWS[:4] + 9).astype(np.float32)
    )


def test_rows_with_nothing_are_refused_or_dropped(tmp_path):
    rows, labels = ROWS.copy(), LABELS.astype(float)
    rows[3, 1] = labels[5] = np.nan
    arrays = {"x": rows, "y": labels}
    with pytest.raises(InputError, match=r"example 3, column 'x\[1\]', and 2"):
        load(tmp_path, **arrays)
    source = load(tmp_path, "missing='drop'", **arrays)
    assert len(source.train) + len(source.test) == 38
    with pytest.raises(InputError, match="example 5, column 'y'"):
        load(tmp_path, x=BYTES, y=labels)
    source = load(tmp_path, "missing='drop'", x=BYTES, y=labels)
    assert len(source.train) + len(source.test) == 39


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"a": ROWS, "b": LABELS}, r"'a', 'b'\]. `features`"),
        ({"x": ROWS}, r"one array of labels.*\[\] of \['x'\]"),
        ({"x": ROWS, "images": ROWS, "y": LABELS}, "'x', 'images'"),
        ({"x_test": ROWS, "y_test": LABELS}, "must have a training part"),
        ({"x": ROWS, "y": LABELS[:9]}, r"each label, 9.*\(40, 3\)"),
        ({"x": ROWS, "y": np.eye(2)[LABELS]}, r"\(40, 2\).*argmax"),
        ({"x": ROWS, "y": LABELS + 0.5}, "must be a class. Received: 0.5"),
        ({"x": ROWS, "y": LABELS * 0}, "two classes.*only 0"),
        ({"x": ROWS.astype(str), "y": LABELS}, "numbers. Received: <U"),
        (
            {"x": ROWS, "y": LABELS, "x_val": ROWS[:0], "y_val": LABELS[:0]},
            r"Array 'x_val' .*must have examples. Received: shape \(0, 3\)",
        ),
        ({"x": BYTES.transpose(0, 3, 1, 2), "y": LABELS}, "channels last"),
        ({"x": ROWS, "y": LABELS.astype(object)}, "written by `numpy.savez`"),
        (
            {"x": BYTES, "y": LABELS, "x_val": BYTES / 255, "y_val": LABELS},
            r"validation part, must be images of shape \(6, 5, 3\).*float64",
        ),
        (
            {"x": ROWS, "y": LABELS, "x_val": ROWS, "y_val": LABELS + 1},
            "validation part.*trained on.*'2' in example",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, arrays, message):
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path, **arrays)
    assert "\n" not in str(caught.value) and "a.npz" in str(caught.value)
    assert str(caught.value).count("Received: ") == 1


def test_files_that_are_no_arrays(tmp_path):
    np.save(tmp_path / "one.npy", ROWS)
    (tmp_path / "text.npz").write_text("x,y\n1,2\n")
    np.savez_compressed(tmp_path / "cut.npz", x=ROWS, y=LABELS)
    content = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[:200])
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in ("one.npy", "text.npz", "cut.npz", "empty.npz"):
        with pytest.raises(InputError, match=f"{name}.*numpy.savez"):
            datasets.load(f"npz({str(tmp_path / name)!r})")
    with pytest.raises(InputError, match="must be a file"):
        datasets.load("npz('nowhere.npz')")
