"""Images of all usual formats in a form that TensorFlow decodes upright."""

import io
import os
import pathlib
import warnings

# EXIF data stand before the pixels.
HEADER = 1 << 16
# How files begin, and how those that are whole end.
ENDS = (
    (b"\xff\xd8\xff", b"\xff\xd9"),
    (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"),
    (b"GIF8", b"\x00;"),
)
# TensorFlow decodes few kinds of BMP, of colours in a table to others, and
# neither to grey.
FEW_KINDS = (b"BM", b"GIF8")
TIFF = (b"II*\0", b"MM\0*")
ORIENTATION, UPRIGHT = 0x0112, 1
EIGHT_BITS = {"1": "L", "L": "L", "LA": "L", "P": "RGB", "RGB": "RGB"}
EIGHT_BITS |= {"RGBA": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}


def looks_whole(file: pathlib.Path) -> bool:
    """Tell from the first and the last bytes whether an image is whole.

    `False` means that only decoding can tell: of a format whose end has no
    mark, and of a file that something was appended to.

    Args:
        file: Path of an image file.
    """
    with open(file, "rb") as opened:
        head = opened.read(12)
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(size - 8, 0))
        tail = opened.read()
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        return int.from_bytes(head[4:8], "little") + 8 == size
    if head[:2] == b"BM":
        return int.from_bytes(head[2:6], "little") == size
    return any(
        head.startswith(start) and tail.endswith(end) for start, end in ENDS
    )


def upright(content: bytes) -> bytes:
    """Return an encoded image, as PNG if TensorFlow would show it otherwise.

    Those are BMP, GIF, TIFF and WebP images, and photographs that a camera
    has marked as rotated. An image that is not whole is left as it is, since
    decoding names it.

    Args:
        content: Bytes of an image file.

    Returns:
        Bytes of an image file with the same pixels.
    """
    head = content[:HEADER]
    foreign = head[:4] in TIFF or head.startswith(FEW_KINDS)
    foreign |= (head[:4], head[8:12]) == (b"RIFF", b"WEBP")
    if not foreign and b"Exif\0\0" not in head and b"eXIf" not in head:
        return content
    from PIL import Image
    from PIL import ImageOps

    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(content)) as image,
        ):
            turned = image.getexif().get(ORIENTATION, UPRIGHT) != UPRIGHT
            if not (foreign or turned) or image.mode not in EIGHT_BITS:
                return content
            shown = ImageOps.exif_transpose(image)
            written = io.BytesIO()
            shown.convert(EIGHT_BITS[image.mode]).save(
                written, "PNG", compress_level=1
            )
    except (OSError, SyntaxError, ValueError):
        return content
    return written.getvalue()
