"""Random numbers that belong to an example, whatever its batch."""

from cb.registry import lazy_import
from cb.seeds import fold_in

tf = lazy_import("tensorflow")

# The multipliers of the finaliser of MurmurHash3, which spreads every bit of
# its input over all bits of its output.
MIX = ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1))


def uniform(seed: int, epoch, examples, name: str):
    """Draw one number in [0, 1) for every example, whatever its batch.

    Args:
        seed: Integer.
        epoch: Integer scalar tensor.
        examples: Integer tensor `(batch,)`, which examples.
        name: String, what the numbers are for.

    Returns:
        float32 tensor `(batch,)`.
    """
    key = fold_in(seed, "augmentation", name) & 0xFFFFFFFF
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
