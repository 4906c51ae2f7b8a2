"""ImageDecoder, by Pillow."""

import io
import sys

import numpy as np
import pytest
from helpers import expect_error, run_op

import sardonyx

Image = pytest.importorskip("PIL.Image")

LOSSLESS = {"BMP": {}, "PNG": {}, "PPM": {}, "TIFF": {}, "WEBP": {"lossless": True},
            "JPEG2000": {}}  # fmt: skip


def pixels(height=7, width=5):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def encoded(image, format, **options):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format=format, **options)
    return np.frombuffer(stream.getvalue(), np.uint8)


@pytest.mark.parametrize("format", LOSSLESS)
def test_formats(format):
    image = pixels()
    data = encoded(image, format, **LOSSLESS[format])
    np.testing.assert_array_equal(run_op("ImageDecoder", data), image)
    np.testing.assert_array_equal(
        run_op("ImageDecoder", data, pixel_format="BGR"), image[..., ::-1]
    )
    gray = np.asarray(Image.fromarray(image).convert("L"))[..., None]
    np.testing.assert_array_equal(run_op("ImageDecoder", data, pixel_format="Grayscale"), gray)


def test_jpeg():
    data = encoded(pixels(40, 33), "JPEG")
    expected = np.asarray(Image.open(io.BytesIO(data.tobytes())))
    np.testing.assert_array_equal(run_op("ImageDecoder", data), expected)


def test_other_modes_become_rgb():
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4)
    got = run_op("ImageDecoder", encoded(gray, "PNG"))
    np.testing.assert_array_equal(got, np.repeat(gray[..., None], 3, -1))


def test_what_is_no_image_is_empty():
    good = encoded(pixels(), "PNG")
    for data in [np.zeros(0, np.uint8), np.arange(50, dtype=np.uint8), good[:60]]:
        assert run_op("ImageDecoder", data).shape == (0, 0, 3)
        assert run_op("ImageDecoder", data, pixel_format="Grayscale").shape == (0, 0, 1)


def test_limit_of_pixels(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    expect_error("ImageDecoder", encoded(pixels(), "PNG"), match="exceeds limit",
                 error=sardonyx.Unsupported)  # fmt: skip


def test_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    expect_error("ImageDecoder", encoded_png, match=r"pip install sardonyx\[image\]",
                 error=sardonyx.Unsupported)  # fmt: skip


def test_refuses():
    expect_error("ImageDecoder", encoded_png, pixel_format="CMYK", match="none of RGB")


encoded_png = encoded(pixels(), "PNG")
