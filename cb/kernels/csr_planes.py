"""Images as planes: what a convolution's shape is, and how images get there.

A plane holds a channel of a tile, which is one image or several small ones
below each other: padded rows of equal length, so that an entry of the kernel
is a distance between positions. Rows and images share the zeros between them.
With strides, every phase of the positions that the kernel reads has planes of
its own.
"""

import numba
import numpy as np

from cb.kernels.csr_jobs import floats_at
from cb.kernels.moving import copy
from cb.kernels.moving import turn_8
from cb.kernels.vectors import FASTMATH
from cb.kernels.vectors import LANES

# The integers of a shape. Those of settings come first, in their order.
(
    SIZE_Y,
    SIZE_X,
    STRIDE_Y,
    STRIDE_X,
    DILATION_Y,
    DILATION_X,
    SAME,
    IMAGES,
    HEIGHT,
    WIDTH,
    INPUTS,
    HEIGHT_AFTER,
    WIDTH_AFTER,
    OUTPUTS,
    TOP,
    LEFT,
    PHASES_Y,
    PHASES_X,
    PITCH,
    ROWS_OF_IMAGE,
    TILE,
    TILES,
    GUARD,
    PLANE,
    PLANES,
) = range(25)
SETTINGS = IMAGES
# Positions of a tile at most, if it holds several images.
_MOST = 384
_BLOCK = 8
_ZERO = np.float32(0)
_compiled = numba.njit(nogil=True, fastmath=FASTMATH)


@_compiled
def _axis(shape, axis):
    """Return, of one axis: outputs, first padding, length of a padded line.

    Args:
        shape: Integer array, filled up to `INPUTS`.
        axis: Integer, 0 for rows and 1 for columns.
    """
    length, stride = shape[HEIGHT + axis], shape[STRIDE_Y + axis]
    reach = (shape[SIZE_Y + axis] - 1) * shape[DILATION_Y + axis]
    if shape[SAME]:
        after = (length + stride - 1) // stride
        padding = max((after - 1) * stride + reach + 1 - length, 0)
    else:
        after = max((length - reach + stride - 1) // stride, 0)
        padding = 0
    first = padding // 2
    if stride == 1:
        return after, first, length + padding - first
    line = (first + length + stride - 1) // stride
    return after, first, max(after + reach // stride, line)


@_compiled
def complete(shape):
    """Compute the other integers of a shape, filled up to `INPUTS`."""
    for axis in range(2):
        after, first, line = _axis(shape, axis)
        shape[HEIGHT_AFTER + axis] = after
        shape[TOP + axis] = first
        reach = (shape[SIZE_Y + axis] - 1) * shape[DILATION_Y + axis]
        shape[PHASES_Y + axis] = min(shape[STRIDE_Y + axis], reach + 1)
        # A pitch is the length of a row, rows of an image that of a column.
        shape[ROWS_OF_IMAGE - axis] = line
    pitch, positions = shape[PITCH], shape[PITCH] * shape[ROWS_OF_IMAGE]
    tile = 1
    while 2 * tile * positions <= _MOST:
        tile *= 2
    shape[TILE] = tile
    shape[TILES] = (shape[IMAGES] + tile - 1) // tile
    reach_y = (shape[SIZE_Y] - 1) * shape[DILATION_Y] // shape[STRIDE_Y]
    reach_x = (shape[SIZE_X] - 1) * shape[DILATION_X] // shape[STRIDE_X]
    reach = reach_y * pitch + reach_x
    shape[GUARD] = vectors(reach) * LANES
    lines = vectors(tile * positions) + 2 * vectors(reach)
    # An odd number of cache lines, so that planes do not meet in a cache.
    shape[PLANE] = (lines | 1) * LANES
    shape[PLANES] = shape[INPUTS] * shape[PHASES_Y] * shape[PHASES_X]


@_compiled
def vectors(positions):
    """Return how many vectors hold some positions."""
    return (positions + LANES - 1) // LANES


@_compiled
def tap(shape, index):
    """Return the plane that an input of the kernel reads, and how far on."""
    channel, place = index % shape[INPUTS], index // shape[INPUTS]
    y = place // shape[SIZE_X] * shape[DILATION_Y]
    x = place % shape[SIZE_X] * shape[DILATION_X]
    stride_y, stride_x = shape[STRIDE_Y], shape[STRIDE_X]
    phase = y % stride_y * shape[PHASES_X] + x % stride_x
    distance = y // stride_y * shape[PITCH] + x // stride_x
    return phase * shape[INPUTS] + channel, distance


@_compiled
def _transpose(source, step, target, pitch, rows, columns):
    """Copy rows to columns: addresses, and floats between rows of each."""
    ends, whole = columns // _BLOCK * _BLOCK, rows // _BLOCK * _BLOCK
    for row in range(0, whole, _BLOCK):
        for column in range(0, ends, _BLOCK):
            turn_8(
                source + 4 * (row * step + column),
                4 * step,
                target + 4 * (column * pitch + row),
                4 * pitch,
            )
    for column in range(ends, columns):
        place = target + 4 * column * pitch
        copy(place, source + 4 * column, rows, step)
    for row in range(whole if ends else rows, rows):
        given = floats_at(source + 4 * row * step, ends)
        found = floats_at(target + 4 * row, (ends - 1) * pitch + 1)
        for column in range(ends):
            found[column * pitch] = given[column]


@_compiled
def move_inputs(shape, images, tile, planes, back):
    """Copy the images of a tile to planes, or planes to images.

    Args:
        shape: Integer array.
        images: Integer, the address of all images.
        tile: Integer, its number.
        planes: Integer, the address of planes, zero between images.
        back: Boolean, whether to copy to images.
    """
    height, width, channels = shape[HEIGHT], shape[WIDTH], shape[INPUTS]
    stride_y, stride_x = shape[STRIDE_Y], shape[STRIDE_X]
    pitch, plane = shape[PITCH], shape[PLANE]
    phases_y, phases_x = shape[PHASES_Y], shape[PHASES_X]
    first, count = _images(shape, tile)
    if back and phases_y * phases_x < stride_y * stride_x:
        size = height * width * channels
        rest = floats_at(images + 4 * first * size, count * size)
        rest[:] = _ZERO
    for image in range(count):
        for row in range(height):
            line, phase = divmod(row + shape[TOP], stride_y)
            line += image * shape[ROWS_OF_IMAGE]
            for remainder in range(phases_x if phase < phases_y else 0):
                column = (remainder - shape[LEFT]) % stride_x
                found = ((first + image) * height + row) * width + column
                found = images + 4 * channels * found
                place = (phase * phases_x + remainder) * channels * plane
                place += shape[GUARD] + line * pitch
                place += (column + shape[LEFT]) // stride_x
                place = planes + 4 * place
                positions = (width - column + stride_x - 1) // stride_x
                step = channels * stride_x
                if back:
                    _transpose(place, plane, found, step, channels, positions)
                else:
                    _transpose(found, step, place, plane, positions, channels)


@_compiled
def move_outputs(shape, images, tile, planes, back):
    """Copy outputs of a tile, as `move_inputs` does."""
    height, width, channels = (
        shape[HEIGHT_AFTER],
        shape[WIDTH_AFTER],
        shape[OUTPUTS],
    )
    first, count = _images(shape, tile)
    for image in range(count):
        for row in range(height):
            found = ((first + image) * height + row) * width
            found = images + 4 * channels * found
            line = image * shape[ROWS_OF_IMAGE] + row
            place = planes + 4 * (shape[GUARD] + line * shape[PITCH])
            if back:
                given = place, shape[PLANE], found, channels, channels, width
            else:
                given = found, channels, place, shape[PLANE], width, channels
            _transpose(*given)


@_compiled
def _images(shape, tile):
    """Return the first image of a tile, and how many it has."""
    first = tile * shape[TILE]
    return first, min(shape[TILE], shape[IMAGES] - first)


@_compiled
def ends(shape, tile):
    """Return the positions of a tile up to the last of outputs and inputs."""
    count = _images(shape, tile)[1] - 1
    before = count * shape[ROWS_OF_IMAGE] * shape[PITCH]
    row, column = shape[HEIGHT_AFTER] - 1, shape[WIDTH_AFTER]
    outputs = before + row * shape[PITCH] + column
    row = (shape[TOP] + shape[HEIGHT] - 1) // shape[STRIDE_Y]
    column = (shape[LEFT] + shape[WIDTH] - 1) // shape[STRIDE_X] + 1
    return outputs, before + row * shape[PITCH] + column
