"""Bundle entropy at the layers of a model, in one pass over the examples."""

import fnmatch
import functools
import re
from collections.abc import Callable
from collections.abc import Sequence
from typing import Literal
from typing import NamedTuple
from typing import get_args

import keras
import numpy as np
import tensorflow as tf

from cb.bundles.entropy import PUBLISHED_EPSILON
from cb.bundles.entropy import bundle_entropy_of_keys
from cb.bundles.entropy import keys
from cb.bundles.inputs import check_labels
from cb.errors import InputError
from cb.layers.calls import recorded_calls
from cb.layers.traversal import ordered_layers
from cb.metrics.activations import Activation
from cb.metrics.activations import hidden_activations
from cb.metrics.activations import layer_outputs
from cb.metrics.activations import outside_of_loops
from cb.metrics.branches import branch_activations
from cb.metrics.weight_magnitude import magnitude_of_layers
from cb.metrics.weight_magnitude import magnitude_of_model
from cb.registry import unknown

Amplitude = Literal["layer", "model"]
AMPLITUDES = get_args(Amplitude)
BRANCHES, PUBLISHED = "branches", "published"
# Names in the zoo of the layers at the ends of blocks.
BLOCK = re.compile(r"block_\d+")


class Measurement(NamedTuple):
    """The bundles of one layer.

    Attributes:
        layer: String, name of the layer.
        bundles: Integer, their number.
        entropy: Float in nats, NaN if activations are not finite.
    """

    layer: str
    bundles: int
    entropy: float


class Recorder:
    """Measures bundles at the output of layers, for examples in pieces.

    Args:
        model: Keras model of any kind, built.
        layers: `"all"`, `"last"`, `"branches"`, `"published"`, or a pattern
            of layer names or a list of them. `"all"` means the blocks of a
            model of the zoo, and for other models whatever layers with
            kernels take as inputs, except for the data. `"branches"` is what
            residual blocks of the zoo add to their shortcuts, as in
            `cb.metrics.branches.branch_activations`; these depend on each
            other, so all examples are measured together. `"published"` is
            the blocks, with the branch of each residual block before it, as
            `block_1_branch`.
        amplitude: `"layer"` for the kernels that are multiplied by the
            activations next, or `"model"` for all trainable weights, as
            published.
        memory: Integer, bytes that activations may take at a time.

    Raises:
        InputError: If an argument is wrong or there is nothing to record.
    """

    def __init__(
        self,
        model: keras.Model,
        layers: str | Sequence[str] = "all",
        amplitude: str = "layer",
        memory: int = 2**28,
    ):
        if amplitude not in AMPLITUDES:
            raise unknown("amplitude", amplitude, AMPLITUDES)
        if not model.built:
            raise InputError(
                f"Model {model.name!r} must be built before it is recorded."
            )
        if not isinstance(layers, str) and len(layers) == 1:
            (layers,) = layers
        self._model = model
        self._layers = layers
        self._amplitude = amplitude
        self._memory = memory
        self._function = None
        self._recorded: list[Activation] = []

    def names(self, x) -> list[str]:
        """Return the names of the recorded layers, in order.

        Args:
            x: Examples, arrays `(examples, ...)` in a structure.
        """
        self._trace(x)
        return [activation.name for activation in self._recorded]

    def measure(
        self,
        x,
        labels,
        learning_rate: float,
        batch_size: int,
        epsilon: float = PUBLISHED_EPSILON,
        num_classes: int | None = None,
    ) -> list[Measurement]:
        """Compute the bundles of some examples at every recorded layer.

        Args:
            x: Examples, arrays `(examples, ...)` in a structure.
            labels: Integer array `(examples,)`.
            learning_rate: Float, of the training step.
            batch_size: Integer, examples of the training step.
            epsilon: Float, as in `bundle_entropy`.
            num_classes: Integer, to check the labels.

        Returns:
            List of `Measurement`, one a layer.
        """
        classes = num_classes or int(np.max(labels)) + 1
        labels = check_labels(labels, len(labels), classes)
        function = self._trace(x)
        whole = self._layers in (BRANCHES, PUBLISHED)
        size = len(labels) if whole else self._piece_size()
        step = (tf.constant(learning_rate, tf.float32), tf.constant(batch_size))
        pieces = [
            function(_part(x, start, start + size), *step)
            for start in range(0, len(labels), size)
        ]
        constants = (
            tf.constant(classes, tf.int64),
            tf.constant(epsilon, tf.float64),
        )
        found = [
            bundle_entropy_of_keys(hashes, labels, *constants)
            for hashes in tf.concat(pieces, axis=1)
        ]
        return [
            Measurement(activation.name, int(count), float(entropy))
            for activation, (_, count, entropy) in zip(
                self._recorded, found, strict=True
            )
        ]

    def _trace(self, x):
        def spec(array):
            return tf.TensorSpec([None, *array.shape[1:]], array.dtype)

        if self._function is None:
            specs = keras.tree.map_structure(spec, x)
            step = tf.TensorSpec([], tf.float32), tf.TensorSpec([], tf.int32)
            # Converting to graph code would wrap the errors raised in it.
            function = tf.function(self._keys, autograph=False)
            self._function = function.get_concrete_function(specs, *step)
        return self._function

    def _keys(self, x, learning_rate, batch_size):
        model = self._model
        training = {"training": False} if model._call_has_training_arg else {}
        layers = outside_of_loops(ordered_layers(model)[1:])
        with recorded_calls(layers) as calls:
            model(x, **training)
        self._recorded = self._chosen(calls)
        # The same for many layers, and as much work as all others together.
        whole = functools.cache(lambda: magnitude_of_model(model))
        return tf.stack(
            [
                keys(
                    activation.tensor,
                    learning_rate,
                    batch_size,
                    self._amplitude_at(activation, whole),
                )
                for activation in self._recorded
            ]
        )

    def _amplitude_at(self, activation: Activation, whole: Callable):
        if self._amplitude == "model" or not activation.consumers:
            return whole()
        return magnitude_of_layers(activation.consumers)

    def _chosen(self, calls) -> list[Activation]:
        names = [layer.name for layer in ordered_layers(self._model)[1:]]
        if self._layers in ("all", "last", PUBLISHED):
            blocks = list(filter(BLOCK.fullmatch, names))
            found = layer_outputs(calls, blocks) or hidden_activations(calls)
            missing = "layer with a kernel follows another one"
            if self._layers == PUBLISHED:
                found = with_branches(found, branch_activations(calls))
        elif self._layers == BRANCHES:
            found = branch_activations(calls)
            missing = "residual block has the name of one"
        else:
            found = layer_outputs(calls, matching(names, self._layers))
            missing = f"call of a layer is named {self._layers!r}"
        if not found:
            raise InputError(
                f"Model {self._model.name!r} has nothing to record: no "
                f"{missing}."
            )
        return found[-1:] if self._layers == "last" else found

    def _piece_size(self) -> int:
        numbers = sum(
            int(np.prod([size or 1 for size in activation.tensor.shape[1:]]))
            for activation in self._recorded
        )
        return max(1, self._memory // (4 * numbers))


def with_branches(
    outputs: list[Activation], branches: list[Activation]
) -> list[Activation]:
    """Put the branch of each residual block before its output."""
    named = {branch.name: branch for branch in branches}
    found = []
    for output in outputs:
        if branch := named.get(output.name):
            found.append(branch._replace(name=f"{output.name}_branch"))
        found.append(output)
    return found


def matching(names: Sequence[str], patterns: str | Sequence[str]) -> list[str]:
    """Return the names that match some patterns, in their order.

    Args:
        names: Names of layers.
        patterns: Pattern such as `"conv*"`, or a list of them.

    Returns:
        List of names.

    Raises:
        InputError: If a pattern matches nothing.
    """
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise InputError(
                "Argument `layers` holds a pattern that matches no layer. "
                f"Expected 'all', 'last' or a pattern for one of {names}. "
                f"Received: {pattern!r}"
            )
    return [
        name
        for name in names
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    ]


def _part(x, start: int, stop: int):
    return keras.tree.map_structure(
        lambda array: tf.convert_to_tensor(array[start:stop]), x
    )
