"""Quantized networks of random operations."""

import numpy as np

from cb.engine.int8_operations import GlobalPool
from cb.engine.int8_operations import LookUp
from cb.engine.int8_operations import MaxPool
from cb.engine.int8_operations import Operations
from cb.engine.int8_operations import Product
from cb.engine.int8_operations import Quantize
from cb.engine.int8_operations import Window
from cb.engine.int8_program import places

SAME = Window((3, 3), (1, 1), ((1, 1), (1, 1)))
# Windows with every kind of border, stride and dilation.
WINDOWS = (
    Window(),
    SAME,
    Window((3, 3), (2, 2), ((0, 1), (0, 1))),
    Window((3, 3), (2, 2), ((1, 1), (1, 1))),
    Window((1, 1), (2, 2)),
    Window((2, 5), (1, 2), ((0, 1), (3, 2))),
    Window((5, 3), (3, 1), ((2, 2), (1, 1)), (1, 2)),
    Window((3, 3), (1, 3), ((4, 4), (2, 2)), (2, 2)),
    Window((1, 7), (1, 1), ((0, 0), (6, 0))),
)


class Builder:
    """Appends operations with random numbers."""

    def __init__(self, seed, source):
        self.random = np.random.default_rng(seed)
        self.source = source
        self.shapes = {0: source}
        self.operations = [
            Quantize(0, np.float32(30), int(self.random.integers(0, 256)))
        ]

    def value(self, shape):
        self.shapes[len(self.shapes)] = shape
        return len(self.shapes) - 1

    def factors(self, count, size):
        return (self.random.random(count) * size).astype("float32")

    def product(
        self, source, outputs, window, groups=1, density=0.5, **options
    ):
        """Add a product; return its target."""
        inputs = self.shapes[source][2] // groups
        kernel = self.random.integers(
            -127, 128, (*window.size, inputs, outputs)
        )
        kernel *= self.random.random(kernel.shape) < density
        shape = (*places(self.shapes[source], window), outputs)
        if options.pop("floats", False):
            target = None
            self.result = shape
        else:
            target = self.value(shape)
        if options.pop("second", False):
            options["second"] = self.value(shape)
            options["second_multiplier"] = self.factors(outputs, 2) - 1
            options["second_shift"] = self.factors(outputs, 200)
        operation = Product(
            source,
            target,
            kernel.astype("int8"),
            groups,
            window,
            int(self.random.integers(0, 256)),
            self.factors(outputs, 0.01),
            self.factors(outputs, 255),
            residual_factor=np.float32(self.random.random()),
            **options,
        )
        self.operations.append(operation)
        return target

    def look_up(self, source):
        target = self.value(self.shapes[source])
        table = self.random.integers(0, 256, 256).astype("uint8")
        self.operations.append(LookUp(source, target, table))
        return target

    def max_pool(self, source, window):
        sides = places(self.shapes[source], window)
        target = self.value((*sides, self.shapes[source][2]))
        self.operations.append(MaxPool(source, target, window))
        return target

    def pool(self, source, function):
        target = self.value((1, 1, self.shapes[source][2]))
        factor, shift = self.factors(2, 0.02)
        self.operations.append(
            GlobalPool(source, target, function, factor, shift)
        )
        return target

    def build(self):
        return Operations(
            self.source, self.result, self.shapes, tuple(self.operations)
        )


def residual(seed, side=13):
    """Build all kinds of operations on three channels, and odd numbers."""
    net = Builder(seed, (side, side + 1, 3))
    x = net.product(0, 10, SAME)
    x = net.product(x, 10, Window(), residual=x)
    x = net.product(
        x, 22, Window((3, 5), (2, 2), ((1, 1), (2, 2))), second=True
    )
    pooled = net.max_pool(
        net.look_up(x), Window((3, 2), (2, 2), ((0, 1), (1, 0)))
    )
    mean = net.pool(x + 1, "average")
    most = net.pool(pooled, "max")
    x = net.product(most, 22, Window(), residual=mean)
    net.product(x, 5, Window(), floats=True)
    return net.build()


def single(seed, window, groups=1, source=(9, 17, 8), outputs=12):
    """Build one convolution between two others."""
    net = Builder(seed, source)
    x = net.product(0, outputs, window, groups)
    net.product(x, 7, Window(), floats=True)
    return net.build()


def depthwise(seed, window):
    """Build a depthwise convolution that does all that products can."""
    net = Builder(seed, (11, 9, 10))
    x = net.product(0, 10, window, 10)
    y = net.product(0, 10, window, 10, residual=x, second=True)
    y = net.product(y + 1, 7, Window(), residual=net.product(y, 7, Window()))
    net.product(y, 7, Window(), residual=y, floats=True)
    return net.build()


def perceptron(seed):
    """Build dense layers of odd widths, one without weights."""
    net = Builder(seed, (1, 1, 37))
    x = net.product(0, 50, Window(), density=0.2)
    x = net.product(x, 18, Window(), density=0)
    x = net.product(x, 18, Window(), residual=x)
    net.product(x, 10, Window(), floats=True)
    return net.build()


def wide_perceptron(seed):
    """Build dense layers that fill several vectors of inputs and outputs."""
    net = Builder(seed, (1, 1, 700))
    x = net.product(0, 300, Window(), density=0.1, second=True)
    y = net.look_up(x)
    y = net.product(y, 300, Window(), density=0.05, residual=x + 1)
    net.product(y, 37, Window(), floats=True)
    return net.build()


def images(network, count, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(count, *network.source)).astype("float32") * 3
