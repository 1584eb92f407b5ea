"""Images of all usual formats in a form that TensorFlow decodes upright."""

import io
import warnings

# EXIF data stand before the pixels.
HEADER = 1 << 16
TIFF = (b"II*\0", b"MM\0*")
ORIENTATION, UPRIGHT = 0x0112, 1
EIGHT_BITS = {"1": "L", "L": "L", "LA": "L", "P": "RGB", "RGB": "RGB"}
EIGHT_BITS |= {"RGBA": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}


def upright(content: bytes) -> bytes:
    """Return an encoded image, as PNG if TensorFlow would show it otherwise.

    Those are WebP and TIFF images, and photographs that a camera has marked as
    rotated. An image that is not whole is left as it is, since decoding names
    it.

    Args:
        content: Bytes of an image file.

    Returns:
        Bytes of an image file with the same pixels.
    """
    head = content[:HEADER]
    foreign = head[:4] in TIFF or (head[:4], head[8:12]) == (b"RIFF", b"WEBP")
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
