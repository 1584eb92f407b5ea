"""Every augmentation against plain numpy, and what chains promise."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from cb import models
from cb.datasets import augmentation
from cb.datasets.augmentation import build
from cb.datasets.augmentation.crops import RandomResizedCrop
from cb.datasets.augmentation.pixels import moments
from cb.datasets.augmentation.randomness import uniform
from cb.errors import InputError
from cb.errors import refused_in_graph

COUNT, SEED = 64, 5
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8, 3), np.uint8)
EXAMPLES = {
    "center_crop": "center_crop(6)",
    "normalize": "normalize((0.1, 0.2, 0.3), 0.5)",
    "random_crop": "random_crop(6)",
    "random_resized_crop": "random_resized_crop(6)",
    "resize": "resize(10)",
    "resize_with_pad": "resize_with_pad(10)",
    "zoom_crop": "zoom_crop(10, 8)",
}


def draw(name):
    return uniform(SEED, tf.constant(3), tf.range(COUNT), name)


def numbers(name):
    """Return the numbers that the first transform of a chain is given."""
    return draw(f"0/{name}").numpy()


def applied(text, images=IMAGES):
    return build(text)(tf.constant(images), draw).numpy()


@pytest.mark.parametrize(
    "text, padder",
    [
        ("pad_crop(2)", {"mode": "reflect"}),
        ("pad_crop(2, mode='symmetric')", {"mode": "symmetric"}),
        (
            "pad_crop(2, mode='constant', value=127)",
            {"mode": "constant", "constant_values": 127},
        ),
    ],
)
def test_padded_crops(text, padder):
    rows, columns = (numbers("row") * 5).astype(int), numbers("column") * 5
    found = applied(text)
    for place, image in enumerate(IMAGES):
        padded = np.pad(image, [(2, 2), (2, 2), (0, 0)], **padder)
        row, column = rows[place], int(columns[place])
        expected = padded[row : row + 8, column : column + 8] / np.float32(255)
        np.testing.assert_allclose(found[place], expected, atol=1e-7)
    assert set(rows) == set(range(5))


def test_brightness_is_added_without_clipping():
    added = 2 * numbers("brightness") - 1
    expected = IMAGES / 255 + 0.25 * added[:, None, None, None]
    np.testing.assert_allclose(applied("brightness(0.25)"), expected, atol=1e-6)
    assert expected.min() < 0 and expected.max() > 1


def test_standardized_images():
    constant = np.concatenate([IMAGES[1:], np.full((1, 8, 8, 3), 7, np.uint8)])
    found = applied("per_image_standardization", constant)
    pixels = constant.reshape(COUNT, -1) / 255
    std = np.maximum(pixels.std(axis=1), 1 / np.sqrt(pixels.shape[1]))
    expected = (pixels - pixels.mean(axis=1, keepdims=True)) / std[:, None]
    np.testing.assert_allclose(found.reshape(COUNT, -1), expected, atol=1e-5)
    assert not found[-1].any()


def test_normalize_in_units_of_bytes():
    found = applied("normalize((125.3, 123, 113.9), (63, 62.1, 66.7), 255)")
    expected = (IMAGES - [125.3, 123, 113.9]) / [63, 62.1, 66.7]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_translation_is_bilinear_and_reflects():
    down = (2 * numbers("row") - 1) * 0.2 * 8
    right = (2 * numbers("column") - 1) * 0.2 * 8
    found = applied("translation(0.2)")
    for place in range(0, COUNT, 7):
        expected = ndimage.shift(
            IMAGES[place] / 255.0,
            (down[place], right[place], 0),
            order=1,
            mode="reflect",
        )
        np.testing.assert_allclose(found[place], expected, atol=1e-4)


def test_rotation_is_bilinear_about_the_centre():
    angles = (2 * numbers("angle") - 1) * 30
    found = applied("rotation(30)")
    for place in range(0, COUNT, 7):
        expected = ndimage.rotate(
            IMAGES[place] / 255.0,
            angles[place],
            axes=(1, 0),
            reshape=False,
            order=1,
            mode="nearest",
        )
        np.testing.assert_allclose(found[place], expected, atol=1e-4)
    assert angles.min() < -20 and angles.max() > 20


def test_a_rotation_and_a_translation_are_interpolated_once():
    angles = np.radians((2 * numbers("angle") - 1) * 30)
    shifts = [(2 * draw(f"1/{name}") - 1) * 1.6 for name in ("row", "column")]
    found = applied("rotation(30)|translation(0.2, mode='nearest')")
    for place in range(0, COUNT, 7):
        cos, sin = np.cos(angles[place]), np.sin(angles[place])
        turn = np.array([[cos, sin], [-sin, cos]])
        # From a place in the shifted image to one in the turned, to the first.
        shift = np.array([value[place] for value in shifts])
        offset = 3.5 - turn @ (shift + 3.5)
        for channel in range(3):
            expected = ndimage.affine_transform(
                IMAGES[place, :, :, channel] / 255.0,
                turn,
                offset,
                order=1,
                mode="nearest",
            )
            np.testing.assert_allclose(
                found[place, :, :, channel], expected, atol=1e-4
            )


@pytest.mark.parametrize("between", ["", "flip|"])
def test_projections_that_cannot_be_joined_come_one_after_the_other(between):
    chain = f"rotation(30)|{between}translation(0.2, mode='wrap')"
    found = tf.constant(IMAGES)
    for number, transform in enumerate(build(chain).transforms):
        found = transform(found, lambda name, n=number: draw(f"{n}/{name}"))
    np.testing.assert_array_equal(applied(chain), found.numpy())


def test_zoom_crop_enlarges_in_training_only():
    chain = build("zoom_crop(10, 8)")
    larger = tf.image.resize(IMAGES / np.float32(255), [10, 10]).numpy()
    rows, columns = (
        (numbers(name) * 3).astype(int) for name in ("row", "column")
    )
    found = applied("zoom_crop(10, 8)")
    for place, (row, column) in enumerate(zip(rows, columns, strict=True)):
        expected = larger[place, row : row + 8, column : column + 8]
        np.testing.assert_allclose(found[place], expected, atol=1e-6)
    evaluated = chain.evaluation()(tf.constant(IMAGES)).numpy()
    np.testing.assert_allclose(evaluated, IMAGES / np.float32(255), atol=1e-7)


def test_resized_crops_are_distributed_as_published():
    count, height, width = 20_000, 300.0, 400.0
    draws = itertools.count()
    boxes = RandomResizedCrop(224).boxes(
        tf.constant(height),
        tf.constant(width),
        lambda name: tf.constant(
            np.random.default_rng(next(draws)).random(count, np.float32)
        ),
    )
    top, left, bottom, right = boxes.numpy().T
    tall = (bottom - top) * (height - 1) + 1
    wide = (right - left) * (width - 1) + 1
    assert top.min() >= -1e-6 and left.min() >= -1e-6
    assert bottom.max() <= 1 + 1e-6 and right.max() <= 1 + 1e-6
    # The direct version: the first of ten draws that fits.
    random = np.random.default_rng(99)
    area = random.uniform(0.08, 1.0, (count, 10)) * height * width
    aspect = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3), (count, 10)))
    h, w = np.sqrt(area / aspect), np.sqrt(area * aspect)
    first = ((h <= height) & (w <= width)).argmax(axis=1)
    h, w = (side[np.arange(count), first] for side in (h, w))
    for found, expected in ((tall, h), (wide, w), (tall * wide, h * w)):
        assert found.mean() == pytest.approx(expected.mean(), rel=0.02)
        assert found.std() == pytest.approx(expected.std(), rel=0.03)


def test_a_crop_of_everything_is_the_image():
    found = applied("random_resized_crop(8, area=(1.0, 1.0), ratio=(1.0, 1.0))")
    np.testing.assert_allclose(found, IMAGES / np.float32(255), atol=1e-5)


def test_the_shorter_side_is_resized():
    images = np.zeros((2, 30, 40, 3), np.uint8)
    chain = build("resize(15)|center_crop(14)")
    assert build("resize(15)").output_shape((30, 40, 3)) == (15, 20, 3)
    assert chain(tf.constant(images)).shape == (2, 14, 14, 3)
    assert chain.output_shape((None, None, 3)) == (14, 14, 3)
    evaluated = build("random_resized_crop(14)|flip").evaluation()
    assert str(evaluated) == "resize(size=16)|center_crop(size=14)"


@pytest.mark.parametrize("name", augmentation.REGISTRY.names())
def test_all_are_written_out_and_keep_their_promises(name):
    text = EXAMPLES.get(name, name)
    if name == "pad_crop":
        text = "pad_crop(2)"
    chain = build(text)
    assert str(build(str(chain))) == str(chain)
    assert str(chain) == augmentation.complete(text)
    for part in (chain, chain.evaluation()):
        found = part(tf.constant(IMAGES), draw)
        assert found.dtype == tf.float32
        assert found.shape[1:] == part.output_shape((8, 8, 3))
        again = part(tf.constant(IMAGES), draw)
        np.testing.assert_array_equal(found, again)


def test_standardize_is_measured_on_what_it_is_fitted_to():
    features = np.random.default_rng(1).normal(3, 2, (9000, 4))
    features = features.astype(np.float32)
    features[:, 2] = 5
    chain = build("standardize").fitted(features)
    found = chain(tf.constant(features)).numpy()
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=0), [1, 1, 0, 1], atol=1e-5)
    mean, std = moments(IMAGES)
    np.testing.assert_allclose(mean, (IMAGES / 255).mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(std, (IMAGES / 255).std(axis=(0, 1, 2)))


@pytest.mark.parametrize(
    "before, each",
    [
        ("normalize(0.5, 0.25)", "channel"),
        ("per_image_standardization", "channel"),
        ("random_crop(3)", "pixel"),
        ("resize(6)", "pixel"),
    ],
)
def test_standardize_comes_before_what_changes_what_it_is_measured_on(
    before, each
):
    features = np.zeros((5, 4, 4, 3), np.uint8)
    chain = augmentation.build(f"{before}|standardize(each={each!r})")
    with pytest.raises(InputError, match="must come before"):
        chain.fitted(features)
    after = augmentation.build(f"flip|standardize(each={each!r})|{before}")
    assert after.fitted(features).output_shape((4, 4, 3))


def test_each_pixel_may_be_standardized_by_itself():
    images = IMAGES.copy()
    images[:, 3, 4, 1] = 7
    chain = build("standardize(each='pixel')").fitted(images)
    assert str(chain) == "standardize(each='pixel')"
    pixels = images / 255.0
    std = pixels.std(axis=0)
    std[3, 4, 1] = 1
    expected = (pixels - pixels.mean(axis=0)) / std
    for found in (chain, chain.evaluation()):
        assert found.output_shape((8, 8, 3)) == (8, 8, 3)
        values = found(tf.constant(images)).numpy()
        np.testing.assert_allclose(values, expected, atol=1e-5)
    assert not values[:, 3, 4, 1].any()


@pytest.mark.parametrize(
    "text, shape, message",
    [
        ("flip", (4,), "needs images"),
        ("flip", (None, None, 3), "differ in size"),
        ("random_crop(9)", (8, 8, 3), "at least 9x9 .* of 8x8"),
        ("random_crop(8)", (9, 7, 3), "at least 8x8 .* of 9x7"),
        ("pad_crop(8)", (8, 8, 3), "at least 9x9 .* of 8x8"),
        ("pad_crop(9, 'symmetric')", (8, 8, 3), "at least 9x9 .* of 8x8"),
        ("normalize((1, 2), 1)", (8, 8, 3), "each of 3 channels"),
    ],
)
def test_chains_that_do_not_fit_the_examples(text, shape, message):
    with pytest.raises(InputError, match=message):
        build(text).output_shape(shape)


@pytest.mark.parametrize("size", [(30, 5), (5, 30)])
@pytest.mark.parametrize(
    "text, least",
    [
        ("random_crop(20)", 20),
        ("center_crop(20)", 20),
        ("pad_crop(8)|resize_with_pad(20)", 9),
    ],
)
def test_what_is_too_small_is_found_where_sizes_differ(text, least, size):
    chain = build(text)
    assert chain.output_shape((None, None, 3)) == (20, 20, 3)
    unknown = tf.TensorSpec([None, None, None, 3], tf.uint8)
    cut = tf.function(lambda images: chain(images, draw), [unknown])
    assert cut(tf.zeros([64, 31, 33, 3], tf.uint8)).shape[1:] == (20, 20, 3)
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        cut(tf.zeros([64, *size, 3], tf.uint8))
    message = refused_in_graph(raised.value)
    assert f"at least {least}x{least} pixels" in message
    assert message.endswith(f"an image of {size[0]}x{size[1]}")


@pytest.mark.parametrize(
    "text, message",
    [
        ("flop", "Did you mean 'flip'"),
        ("pad_crop(0)", "padding=0"),
        ("pad_crop(mode='grey')", "mode='grey'"),
        ("normalize(0.5, 0)", "std=0"),
        ("translation(2.0)", "fraction=2.0"),
        ("random_resized_crop(8, area=(1.0, 0.5))", "ascending"),
        ("zoom_crop(10, 12)", "zoom=10"),
    ],
)
def test_wrong_specs(text, message):
    with pytest.raises(InputError, match=message):
        build(text)


IMAGENET = "normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))"
CROPPED = f"resize(256)|center_crop(224)|{IMAGENET}"
WIDE = (
    "normalize(mean=(125.3, 123.0, 113.9), std=(63.0, 62.1, 66.7), scale=255)"
)
WIRINGS = "normalize(mean=(0.491, 0.482, 0.447), std=(0.247, 0.243, 0.262))"


@pytest.mark.parametrize(
    "model, published",
    [
        ("f1", "normalize(mean=0.5, std=0.5)"),
        ("resnet44", IMAGENET),
        ("wide_resnet", WIDE),
        ("wiring_graph", WIRINGS),
        ("alexnet", CROPPED),
        ("resnet50", CROPPED),
    ],
)
def test_recipes_of_models_evaluate_as_published(model, published):
    recipe = models.recipe(model)
    trained = build("|".join(recipe.train_transform)).evaluation()
    evaluated = build(published)
    shape = (28, 28, 1) if model == "f1" else (32, 32, 3)
    images = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    np.testing.assert_array_equal(
        trained(tf.constant(images)), evaluated(tf.constant(images))
    )
