"""Augmentations of image batches, a function of (seed, epoch, example)."""

from collections.abc import Callable
from collections.abc import Sequence

import tensorflow as tf

from cb.errors import InputError
from cb.registry import Registry
from cb.sparsity.seeds import fold

# Takes a batch of images and a function from a name to one number in [0, 1)
# for every image of it.
Augmentation = Callable[[tf.Tensor, Callable[[str], tf.Tensor]], tf.Tensor]

REGISTRY = Registry("augmentation", __name__)

# The multipliers of the finaliser of MurmurHash3, which spreads every bit of
# its input over all bits of its output.
MIX = ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1))


@REGISTRY.register("none")
def none() -> Augmentation:
    """Leave images as they are."""
    return lambda images, random: images


@REGISTRY.register("flip")
def flip() -> Augmentation:
    """Mirror half of the images left to right."""

    def apply(images, random):
        mirrored = random("flip")[:, None, None, None] < 0.5
        return tf.where(mirrored, tf.reverse(images, [2]), images)

    return apply


@REGISTRY.register("pad_crop")
def pad_crop(padding: int = 4, mode: str = "reflect") -> Augmentation:
    """Pad on every side and crop the old size at a random place.

    Args:
        padding: Integer, pixels on every side.
        mode: `"reflect"`, `"symmetric"` or `"constant"` (zeros).
    """
    if mode not in ("reflect", "symmetric", "constant"):
        raise InputError(
            "Argument `mode` must be 'reflect', 'symmetric' or 'constant'. "
            f"Received: mode={mode!r}"
        )
    if not isinstance(padding, int) or padding < 1:
        raise InputError(
            "Argument `padding` must be a positive integer. "
            f"Received: padding={padding!r}"
        )

    def apply(images, random):
        side = [padding, padding]
        padded = tf.pad(images, [[0, 0], side, side, [0, 0]], mode.upper())
        rows = _window(random("row"), padding, images.shape[1])
        columns = _window(random("column"), padding, images.shape[2])
        padded = tf.gather(padded, rows, axis=1, batch_dims=1)
        return tf.gather(padded, columns, axis=2, batch_dims=1)

    return apply


def build(text: str) -> Augmentation:
    """Build a chain of augmentations such as `"pad_crop(4)|flip"`.

    Args:
        text: Specs joined by `|`, applied from left to right.

    Returns:
        A function from images `(batch, height, width, channels)` and a
        source of random numbers to images of the same shape and dtype.

    Raises:
        InputError: If a spec is wrong.
    """
    chain: Sequence[Augmentation] = [
        REGISTRY.build(part) for part in text.split("|")
    ]

    def apply(images, random):
        for number, augmentation in enumerate(chain):
            images = augmentation(
                images, lambda name, number=number: random(f"{number}/{name}")
            )
        return images

    return apply


def complete(text: str) -> str:
    """Return the chain with every default written out."""
    return "|".join(str(REGISTRY.complete(part)) for part in text.split("|"))


def uniform(
    seed: int, epoch: tf.Tensor, examples: tf.Tensor, name: str
) -> tf.Tensor:
    """Draw one number in [0, 1) for every example, whatever its batch.

    Args:
        seed: Integer.
        epoch: Integer scalar tensor.
        examples: Integer tensor `(batch,)`, which examples.
        name: String, what the numbers are for.

    Returns:
        float32 tensor `(batch,)`.
    """
    key = fold(seed, "augmentation", name) & 0xFFFFFFFF
    state = tf.constant(key, tf.uint32)
    for word in (tf.cast(epoch, tf.uint32), tf.cast(examples, tf.uint32)):
        state = _mixed(tf.bitwise.bitwise_xor(_mixed(word), state))
    # 24 bits are what a float32 holds exactly.
    return (
        tf.cast(
            tf.bitwise.right_shift(state, tf.constant(8, tf.uint32)), tf.float32
        )
        / 2.0**24
    )


def _mixed(word):
    word += tf.constant(0x9E3779B9, tf.uint32)
    for shift, multiplier in MIX:
        word = tf.bitwise.bitwise_xor(
            word, tf.bitwise.right_shift(word, tf.constant(shift, tf.uint32))
        )
        word *= tf.constant(multiplier, tf.uint32)
    return word


def _window(random, padding, size):
    first = tf.cast(tf.floor(random * (2 * padding + 1)), tf.int32)
    return first[:, None] + tf.range(size)[None, :]
