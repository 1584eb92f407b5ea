"""Runs every SavedModel below some folders on a fixed batch.

python FILE FOLDER...

Writes `NAME.outputs.npz` beside each SavedModel `NAME` that has none yet, with
plain TensorFlow: the project is not imported.
"""

import pathlib
import sys

import numpy as np
import tensorflow as tf

EXAMPLES = 8


def main(folders):
    """Run all SavedModels below the folders.

    Args:
        folders: List of strings.
    """
    for folder in folders:
        for file in sorted(pathlib.Path(folder).rglob("saved_model.pb")):
            path = file.parent
            target = path.with_name(f"{path.name}.outputs.npz")
            if not target.exists():
                np.savez(target, **outputs(path))


def outputs(path):
    """Return the outputs of a SavedModel for a fixed batch.

    Args:
        path: Folder.

    Returns:
        Dict of the names of signatures and outputs to arrays.
    """
    loaded = tf.saved_model.load(str(path))
    found = {}
    for name, signature in sorted(loaded.signatures.items()):
        random = np.random.default_rng(0)
        inputs = {
            key: batch(spec, random)
            for key, spec in sorted(
                signature.structured_input_signature[1].items()
            )
        }
        for key, value in signature(**inputs).items():
            found[f"{name}/{key}"] = value.numpy()
    return found


def batch(spec, random):
    """Draw an input; unknown dimensions get the number of examples."""
    shape = [EXAMPLES if side is None else side for side in spec.shape]
    values = random.normal(size=shape)
    return tf.constant(values.astype(spec.dtype.as_numpy_dtype))


if __name__ == "__main__":
    main(sys.argv[1:])
