"""Keras's global settings, which a run does not leave to the user's files."""

import keras


def use_defaults() -> None:
    """Undo what `keras.json` sets, so that the same command is the same run.

    Called by commands; a library must leave these settings alone.
    """
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
