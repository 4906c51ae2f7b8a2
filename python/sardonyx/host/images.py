"""The codec behind the operator ImageDecoder: Pillow, where it is installed."""

from __future__ import annotations

import io

import numpy as np

_FORMATS = ("BMP", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")


def decode_image(encoded: bytes, pixel_format: str) -> np.ndarray | None:
    """The pixels as uint8 [height, width, channels]; None where the bytes are no image."""
    try:
        from PIL import Image
    except ImportError:
        raise RuntimeError(
            "decoding images needs the package Pillow: pip install sardonyx[image]"
        ) from None
    try:
        file = Image.open(io.BytesIO(encoded), formats=_FORMATS)
        image = file.convert("L" if pixel_format == "Grayscale" else "RGB")
    except Image.DecompressionBombError as error:  # over Pillow's limit, Image.MAX_IMAGE_PIXELS
        raise RuntimeError(str(error)) from None
    except (OSError, SyntaxError, ValueError, EOFError):
        return None
    pixels = np.asarray(image)
    if pixel_format == "Grayscale":
        return pixels[:, :, np.newaxis]
    return pixels if pixel_format == "RGB" else np.ascontiguousarray(pixels[:, :, ::-1])
