"""Features in memory, or on disk until a batch needs them."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np

from cb.datasets.augmentation import Pipeline
from cb.errors import InputError
from cb.registry import lazy_import

tf = lazy_import("tensorflow")

Draw = Callable[[str, Any], Any]


class EncodedImages:
    """Images of any size on disk, decoded when they are asked for.

    Indexing gives the images at those positions, still on disk, as an array
    would.

    Args:
        read: Function from an int64 array of numbers to a list of bytes, one
            encoded image each.
        numbers: int64 array, the numbers of these images.
        channels: Integer, 1 or 3.
        names: Sequence of strings, a name for every image that `read` knows,
            or `None` if images have no names.
        sizes: Sequence of integers, their bytes, or `None`.
    """

    def __init__(
        self,
        read: Callable[[np.ndarray], Sequence[bytes]],
        numbers: np.ndarray,
        channels: int = 3,
        names: Sequence[str] | None = None,
        sizes: Sequence[int] | None = None,
    ):
        self._read = read
        self._numbers = np.asarray(numbers, np.int64)
        self._channels = channels
        self._names = names
        self._sizes = sizes

    def __getitem__(self, positions) -> "EncodedImages":
        return EncodedImages(
            self._read,
            self._numbers[positions],
            self._channels,
            self._names,
            self._sizes,
        )

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Number and shape of the images; `None` where images differ."""
        return (len(self), None, None, self._channels)

    @property
    def ndim(self) -> int:
        """Number of axes of a batch."""
        return len(self.shape)

    def identity(self) -> bytes:
        """Return bytes that differ for images of other names or sizes."""
        if self._names is None:
            return self._numbers.tobytes()
        sizes = self._sizes or [0] * len(self._names)
        names = [
            f"{self._names[number]}/{sizes[number]}" for number in self._numbers
        ]
        return "\n".join(names).encode("utf-8", "surrogateescape")

    def encoded(self, positions):
        """Return the encoded images at `positions`, strings `(batch,)`."""
        numbers = tf.gather(self._numbers, positions)
        contents = tf.numpy_function(
            lambda wanted: np.array(self._read(wanted), object),
            [numbers],
            tf.string,
        )
        return tf.ensure_shape(contents, positions.shape)

    def decode(self, content):
        """Decode one image to uint8 `(height, width, channels)`."""
        image = tf.io.decode_image(
            content, self._channels, expand_animations=False
        )
        return tf.ensure_shape(image, [None, None, self._channels])

    def require_decodable(self, where: str = "the data set") -> None:
        """Decode image by image.

        Args:
            where: String, what the images are of, for the message.

        Raises:
            InputError: If one cannot be decoded; it is named.
        """
        for number in self._numbers:
            (content,) = self._read(np.array([number]))
            try:
                self.decode(content)
            except tf.errors.InvalidArgumentError as error:
                name = number if self._names is None else self._names[number]
                raise InputError(
                    f"Image {str(name)!r} of {where} cannot be decoded. "
                    "Expected a whole JPEG, PNG, GIF, BMP, WebP or TIFF file. "
                    f"Received: {len(content)} bytes"
                ) from error


def reader(features) -> Callable[[Any, Pipeline, Draw | None], Any]:
    """Return a function that reads and transforms features at positions.

    Args:
        features: Array, or `EncodedImages`.

    Returns:
        Function of an integer tensor `(batch,)`, a `Pipeline` and a function
        `(name, positions)` that draws random numbers, to float32 features.
    """
    if isinstance(features, EncodedImages):
        return lambda *arguments: _read_encoded(features, *arguments)
    tensor = tf.constant(features)

    def read(positions, chain, draw):
        random = draw and (lambda name: draw(name, positions))
        return chain(tf.gather(tensor, positions), random)

    return read


def _read_encoded(images: EncodedImages, positions, chain, draw):
    """Transform image by image: sizes are the same only afterwards."""
    shape = chain.output_shape(images.shape[1:])

    def one(arguments):
        position, content = arguments
        here = position[None]
        random = draw and (lambda name: draw(name, here))
        return tf.ensure_shape(
            chain(images.decode(content)[None], random)[0], shape
        )

    return tf.map_fn(
        one,
        (positions, images.encoded(positions)),
        fn_output_signature=tf.TensorSpec(shape, tf.float32),
    )
