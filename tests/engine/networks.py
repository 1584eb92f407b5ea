"""Networks for the tests of the engine."""

import numpy as np

from cb.engine import Node
from cb.engine import connect

PLAIN = {
    "strides": (1, 1),
    "padding": ((0, 0), (0, 0)),
    "dilation": (1, 1),
    "groups": 1,
}
RELU = {"function": "relu", "slope": 0.0, "threshold": 0.0, "limit": None}


class Builder:
    """Makes random graphs, node after node.

    Args:
        *shapes: Tuples `(height, width, channels)` of the inputs.
        seed: Integer.
        density: Float, the share of weights that are not zero.
    """

    def __init__(self, *shapes, seed=0, density=0.4):
        self.random = np.random.default_rng(seed)
        self.inputs = dict(enumerate(shapes))
        self.nodes = []
        self.density = density

    def shape(self, value):
        return connect(self.inputs, [], self.nodes).shapes[value]

    def add(self, kind, *inputs, arrays=None, **options):
        output = len(self.inputs) + len(self.nodes)
        name = f"{kind}_{output}"
        node = Node(kind, name, inputs, output, options, arrays or {})
        self.nodes.append(node)
        return output

    def convolve(self, value, size, outputs, **options):
        options = {**PLAIN, **options}
        inputs = self.shape(value)[2] // options["groups"]
        kernel = self.random.normal(size=(*size, inputs, outputs)) * 0.5
        kernel *= self.random.random(kernel.shape) < self.density
        arrays = {"kernel": kernel, "bias": self.random.normal(size=outputs)}
        return self.add("convolution", value, arrays=single(arrays), **options)

    def scale(self, value):
        arrays = {
            name: self.random.normal(size=self.shape(value)[2:])
            for name in ("scale", "shift")
        }
        return self.add("scale", value, arrays=single(arrays))

    def relu(self, value, **options):
        return self.add("activation", value, **{**RELU, **options})

    def graph(self, *outputs):
        return connect(self.inputs, outputs, self.nodes)

    def data(self, examples):
        return [
            self.random.normal(size=(examples, *shape)).astype("float32")
            for shape in self.inputs.values()
        ]


def single(arrays):
    return {name: value.astype("float32") for name, value in arrays.items()}


def same(one, size):
    """Return the zeros around an image that keep its size."""
    span = [(side - 1) * one for side in size]
    return tuple((side // 2, side - side // 2) for side in span)


def residual(width=8, side=9, seed=0, density=0.4, blocks=2):
    """Build a small pre-activation network with strides and shortcuts."""
    made = Builder((side, side, 3), seed=seed, density=density)
    around = same(1, (3, 3))
    x = made.convolve(0, (3, 3), width, padding=around)
    for number in range(blocks):
        stride, width = (1 + number % 2, width * (1 + number % 2))
        y = made.relu(made.scale(x))
        if number % 2:
            x = made.convolve(y, (1, 1), width, strides=(stride, stride))
        y = made.convolve(
            y, (3, 3), width, padding=around, strides=(stride, stride)
        )
        y = made.relu(made.scale(y))
        y = made.convolve(y, (3, 3), width, padding=around)
        x = made.add("add", y, x)
    x = made.relu(made.scale(x))
    x = made.add("global_pool", x, function="average")
    x = made.convolve(x, (1, 1), 5)
    return made, made.graph(made.add("softmax", x))


def perceptron(*widths, seed=0, density=0.3):
    made = Builder((1, 1, widths[0]), seed=seed, density=density)
    x = 0
    for width in widths[1:]:
        x = made.relu(made.convolve(x, (1, 1), width))
    return made, made.graph(x)


def random_network(seed):
    """Build a small network of random nodes, which fusion may join or not."""
    random = np.random.default_rng(seed)
    made = _beginning(random, seed)
    last, *others = _random_nodes(made, random)
    return made, made.graph(*{last, _draw(random, *others)})


def random_network_of_bytes(seed):
    """Build a random network that can be quantized.

    Every other one ends in a concatenation, and one of three in a softmax.
    """
    random = np.random.default_rng(seed)
    made = _beginning(random, seed)
    last, *others = _random_nodes(made, random, of_bytes=True)
    if seed % 2:
        sides = made.shape(last)[:2]
        parts = [v for v in others if made.shape(v)[:2] == sides]
        parts += [made.convolve(last, (1, 1), 1 + seed % 5), last]
        random.shuffle(parts)
        last = made.add("concatenate", *parts[:3])
    if seed % 3 == 0:
        last = made.add("softmax", last)
    return made, made.graph(last)


def _draw(random, *options):
    return options[random.integers(len(options))]


def _beginning(random, seed):
    """Return a builder; of every third network all values are vectors."""
    shape = (1, 1, 37) if seed % 3 == 2 else (int(random.integers(1, 10)), 7, 4)
    return Builder(shape, seed=seed)


def _random_nodes(made, random, of_bytes=False):
    """Add nodes; return values, the last one first and without the input."""

    def draw(*options):
        return _draw(random, *options)

    values, last = [0], 0
    kinds = ["convolution", "convolution", "scale", "relu", "add", "join"]
    for _ in range(10):
        x = draw(last, last, *values)
        height, width, channels = made.shape(x)
        alike = [v for v in values if made.shape(v) == made.shape(x)]
        beside = [v for v in values if made.shape(v)[:2] == (height, width)]
        point = (height, width) == (1, 1)
        kind = draw(*kinds, *([] if of_bytes else ["softmax"]))
        if kind == "convolution" and point and draw(True, True, False):
            # Parts of concatenations begin at any place.
            last = made.convolve(x, (1, 1), int(random.integers(1, 40)))
        elif kind == "convolution":
            size = draw((1, 1), (3, 3), (2, 3))
            behind = tuple((0, side - 1) for side in size)
            last = made.convolve(
                x,
                size,
                channels * draw(1, 1, 2),
                groups=draw(1, channels),
                strides=draw((1, 1), (1, 1), (2, 2), (1, 2)),
                padding=draw(same(1, size), ((1, 2), (2, 1)), behind),
            )
        elif kind == "scale":
            last = made.scale(x)
        elif kind == "relu" and not of_bytes and draw(True, False):
            last = made.relu(x, function=draw("sigmoid", "tanh", "silu"))
        elif kind == "relu":
            last = made.relu(x, limit=draw(None, 1.5), slope=draw(0.0, 0.1))
        elif kind == "softmax":
            # Of large numbers a softmax magnifies the rounding.
            last = made.add("softmax", made.relu(x, limit=1.5))
        elif kind == "add":
            last = made.add("add", x, draw(*alike), *draw([], [draw(*alike)]))
        elif channels < (60 if point else 20):
            last = made.add("concatenate", x, draw(*beside))
        elif not point:
            function, around = draw("max", "average"), ((1, 0), (0, 1))
            if of_bytes and height == 1:
                function = "max"
            elif of_bytes and function == "average":
                around = PLAIN["padding"]
            last = made.add(
                "pool",
                x,
                function=function,
                size=(2, 2),
                strides=draw((1, 1), (2, 2)),
                padding=around,
            )
        values.append(last)
    return [last, *values[1:]]
