"""Folders of images as other people keep them, beside Pillow."""

import io
import random
import shutil

import numpy as np
import pytest
from PIL import Image

from cb import datasets
from cb.datasets.image_files import looks_whole
from cb.datasets.image_files import upright
from cb.datasets.storage import EncodedImages
from cb.errors import InputError

PARTS = [
    ("train", "val"),
    ("train", "valid", "test"),
    ("Training", "Testing"),
    ("Train", "Test"),
    ("training_set", "test_set"),
    ("train", "validation"),
    ("seg_train", "seg_test"),
    ("TrainData", "Holdout set"),
    ("train1", "dev1", "eval1"),
    ("dataset-train", "dataset-val"),
]
FORMATS = {"png": "PNG", "JPG": "JPEG", "bmp": "BMP", "gif": "GIF"}
FORMATS |= {"webp": "WEBP", "tif": "TIFF", "jpeg": "JPEG"}


def write_image(file, value=0, kind="PNG"):
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((6, 8, 3), value % 256, np.uint8)
    Image.fromarray(pixels).save(file, kind)


def litter(folder, draw):
    """Leave behind what systems and programs do."""
    for name in draw.sample(range(6), 3):
        if name == 0:
            write_image(folder / ".ipynb_checkpoints" / "0-checkpoint.png")
        elif name == 1:
            (folder / "._0.png").write_bytes(b"\0\5\x16\7")
        elif name == 2:
            write_image(folder / "__MACOSX" / "0.png")
        elif name == 3:
            (folder / "lost.png").symlink_to("nowhere.png")
        elif name == 4:
            (folder / "notes.txt").write_text("?")
        else:
            (folder / "album.png").mkdir()


def tree(root, seed):
    """Make a tree at random; return the images of each part by class."""
    draw = random.Random(seed)
    parts = draw.choice([*PARTS, ("",)])
    classes = draw.sample(
        ["cat", "dog", "ñu", "a b", "cow"], draw.randint(2, 4)
    )
    wanted = {}
    for part in parts:
        for name in sorted(classes):
            place = root / part / name
            for number in range(draw.randint(2, 5)):
                ending = draw.choice([*FORMATS])
                inside = draw.choice([".", ".", "more"])
                file = place / inside / f"{number}.{ending}"
                write_image(file, 40 * number, FORMATS[ending])
                wanted.setdefault(part, set()).add((name, file.resolve()))
            litter(place, draw)
    for name in draw.sample([".git", "__MACOSX"], draw.randint(0, 2)):
        (root / name).mkdir()
    return parts, sorted(classes), wanted


def files(source, part, root):
    """Return the class and file of every image of a part."""
    examples = source.parts()[part]
    lines = examples.features.identity().decode().split("\n")
    return {
        (source.class_names[label], (root / line.rpartition("/")[0]).resolve())
        for label, line in zip(examples.labels, lines, strict=True)
    }


@pytest.mark.slow
@pytest.mark.parametrize("block", range(5))
def test_any_tree_is_read_as_it_is_meant(tmp_path, block, capsys):
    for seed in range(20 * block, 20 * block + 20):
        root = tmp_path / str(seed)
        parts, classes, wanted = tree(root, seed)
        source = datasets.load(f"folder({str(root)!r}, test_fraction=0.4)")
        assert source.class_names == tuple(classes), seed
        printed = capsys.readouterr().out
        if parts == ("",):
            whole = files(source, "training", root) | files(
                source, "test", root
            )
            assert whole == wanted[""], seed
        else:
            found = dict(zip(parts, ("training", "test"), strict=False))
            if len(parts) == 3:
                found = dict(
                    zip(parts, ("training", "validation", "test"), strict=True)
                )
            for name, part in found.items():
                there = files(source, part, root / name)
                assert there == wanted[name], seed
            assert ("is the test part" in printed) == (
                len(parts) == 2 and "val" in parts[1]
            )
        shutil.rmtree(root)


@pytest.mark.parametrize(
    "folders, message",
    [
        (["bus", "car", "train"], "name parts, beside"),
        (["cat", "test"], "name parts"),
        (["train/a", "train/b", "Train_set/a", "test/a"], "one train part"),
        (["train/a", "train/b", "test/c"], "not trained on: 'c'"),
        (["only/a", "only/b"], r"two classes. Received: \['only'\]"),
    ],
)
def test_trees_that_mean_nothing_are_refused(tmp_path, folders, message):
    for name in folders:
        write_image(tmp_path / name / "0.png")
    with pytest.raises(InputError, match=message):
        datasets.load(f"folder({str(tmp_path)!r})")


@pytest.mark.slow
@pytest.mark.parametrize("ending", [*FORMATS])
def test_a_file_that_is_not_whole_is_named_at_once(tmp_path, ending):
    for number in range(5):
        for place in ("train/a", "train/b", "test/a", "test/b"):
            file = tmp_path / place / f"{number}.{ending}"
            write_image(file, 9 * number, FORMATS[ending])
    assert looks_whole(file) == (FORMATS[ending] != "TIFF")
    whole = file.read_bytes()
    # Bytes behind the end of an image do no harm.
    if FORMATS[ending] in ("JPEG", "PNG", "GIF"):
        file.write_bytes(whole + b"and more")
        assert not looks_whole(file)
        datasets.load(f"folder({str(tmp_path)!r})")
    for content in (whole[: len(whole) // 2], b"", b"<html>404</html>"):
        file.write_bytes(content)
        with pytest.raises(InputError) as caught:
            datasets.load(f"folder({str(tmp_path)!r})")
        assert f"Image 'b/4.{ending}' of folder" in str(caught.value)
        assert str(tmp_path / "test") in str(caught.value)
        assert f"Received: {len(content)} bytes" in str(caught.value)


def test_words_for_parts_may_be_words_of_classes(tmp_path):
    names = ("test_tube", "train_station", "val2")
    for name in names:
        for number in range(5):
            write_image(tmp_path / name / f"{number}.png")
    source = datasets.load(f"folder({str(tmp_path)!r})")
    assert source.class_names == names


def test_links_that_lead_back_or_up_are_not_followed(tmp_path):
    for name in ("a", "b"):
        for number in range(5):
            write_image(tmp_path / name / f"{number}.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b" / "again").symlink_to(tmp_path / "b")
    source = datasets.load(f"folder({str(tmp_path)!r})")
    assert len(source.train) + len(source.test) == 10


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "kind, mode",
    [
        *[("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")],
        *[("BMP", mode) for mode in ("1", "L", "P", "RGB", "RGBA")],
        *[("GIF", mode) for mode in ("1", "L", "P", "RGB")],
        *[("TIFF", mode) for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK")],
        *[("WEBP", mode) for mode in ("L", "RGB", "RGBA")],
    ],
)
def test_pixels_are_those_that_pillow_shows(kind, mode, channels):
    colours = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    lossless = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(Image.fromarray(colours).convert(mode), kind, **lossless)
    images = EncodedImages(lambda _: [content], np.arange(1), channels)
    found = images.decode(upright(content)).numpy().astype(int)
    shown = Image.open(io.BytesIO(content))
    if channels == 3 or shown.mode not in ("1", "L", "LA"):
        shown = shown.convert("RGB")
    wanted = np.asarray(shown.convert("L" if channels == 1 else "RGB"))
    # Grey is rounded otherwise.
    assert np.abs(found - wanted.reshape(found.shape)).max() <= (channels == 1)


def encoded(image, kind, **options):
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_rotated_photographs_are_upright(kind, orientation):
    # Blocks of one colour each survive JPEG.
    pixels = np.kron(np.arange(6).reshape(2, 3) * 40, np.ones((16, 16)))
    image = Image.fromarray(np.stack([pixels] * 3, -1).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(image, kind, exif=exif, **lossless)
    turns = {
        1: lambda p: p,
        2: np.fliplr,
        3: lambda p: np.rot90(p, 2),
        4: np.flipud,
        5: np.transpose,
        6: lambda p: np.rot90(p, -1),
        7: lambda p: np.rot90(p, 2).T,
        8: np.rot90,
    }
    shown = upright(content)
    if orientation == 1 and kind in ("JPEG", "PNG"):
        assert shown == content
    found = np.asarray(Image.open(io.BytesIO(shown)).convert("L"), int)
    wanted = turns[orientation](pixels)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 4


def test_what_is_not_whole_is_left_for_decoding():
    image = encoded(Image.new("RGB", (8, 8)), "TIFF")
    assert upright(image[:20]) == image[:20]
    assert upright(b"") == b""
    deep = encoded(Image.new("I;16", (4, 4)), "TIFF")
    assert upright(deep) == deep
