"""Loading of exports of any form; TensorFlow only for those that need it."""

import os
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from cb.engine import NAME
from cb.engine.batch_sizes import check_batch_sizes

# Of an export that the engine runs in part, the description of its segments.
SEGMENTS = os.path.join("assets.extra", "cb_segments.json")


def load(
    path: str, batch_sizes: Sequence[int] = (1, 128)
) -> Callable[[Any], Any]:
    """Load an export as a function on the fastest kernels of this machine.

    A network in the form "engine" is compiled by Numba (an extra of the
    package) and needs neither Keras nor TensorFlow, but for segments of layers
    that the engine does not have. Of a SavedModel, chains of
    sparse layers run as kernels compiled by Numba, as TensorFlow's eager CSR
    product or as dense products, or the whole model as the saved graph. The
    fastest way is measured for each of the batch sizes; other sizes use the
    choice for the nearest.

    Args:
        path: String, the folder that `cb.export.save` wrote. Of the forms
            "dense" and "compact", or of a SavedModel with several inputs or
            outputs, only the graph can be run; files of LiteRT, ONNX and
            OpenVINO are run by these.
        batch_sizes: Integers, how many examples there will be in a call.

    Returns:
        A function from an array `(examples, ...)` to an array; of dicts of
        arrays by name if there are several: a `cb.engine.Network`, or a
        `LoadedModel`.

    Raises:
        InputError: If there is no export, or it is damaged, or it has no
            signature to call.

    Example:

    >>> cb.export.save(model, "exported", form="engine")
    >>> predict = cb.export.load("exported", batch_sizes=[1])
    >>> predict(images)
    """
    check_batch_sizes(batch_sizes)
    if os.path.isfile(os.path.join(path, NAME)):
        from cb.engine import load as load_network

        network = load_network(path)
        network.choose(batch_sizes)
        return network
    if os.path.isfile(os.path.join(path, SEGMENTS)):
        from cb.export.segmented import SegmentedNetwork

        segmented = SegmentedNetwork(path)
        segmented.choose(batch_sizes)
        return segmented
    from cb.export.loading import load_saved_model
    from cb.export.runtimes import open_file

    return open_file(path) or load_saved_model(path, batch_sizes)
