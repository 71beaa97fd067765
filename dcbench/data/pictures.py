"""Pictures as arrays of one size: opened once their size is known, and scaled by one rule."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MOST_PIXELS = 40_000_000
"""Of a photograph: what a camera takes, and little enough to unpack."""

_OF_BYTES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}


def open_picture(
    content: bytes, formats: list[str], *, most_pixels: int = MOST_PIXELS
) -> Image.Image:
    """A picture of one of Pillow's formats, in RGB: gray has three equal channels.

    Raises
    ------
    ValueError
        It has more pixels than `most_pixels`, or more than a byte a channel.
    Exception
        Whatever Pillow makes of bytes that are no such picture.
    """
    with Image.open(io.BytesIO(content), formats=formats) as picture:
        if picture.width * picture.height > most_pixels:
            raise ValueError(f"a picture of {picture.width} x {picture.height} pixels")
        return in_rgb(picture)


def in_rgb(picture: Image.Image) -> Image.Image:
    """A picture with three channels of a byte; transparency is left out.

    Raises
    ------
    ValueError
        It has more than a byte a channel.
    """
    if picture.mode not in _OF_BYTES:
        raise ValueError(f"pixels of mode {picture.mode}: convert it to 8 bits a channel")
    return picture.convert("RGB")


def in_size(picture: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The middle of a picture that is made just large enough: uint8 [height, width, channels].

    Pillow's bilinear filter; for a square, the shorter side gets its length, as in OpenOOD v1.5. A
    picture of this size stays as it is.

    Parameters
    ----------
    size : (int, int)
        Height and width in pixels.
    """
    height, width = size
    if height * picture.width >= width * picture.height:
        covering = (height * picture.width // picture.height, height)
    else:
        covering = (width, width * picture.height // picture.width)
    if covering != picture.size:
        picture = picture.resize(covering, Image.Resampling.BILINEAR)
    left, top = round((covering[0] - width) / 2), round((covering[1] - height) / 2)
    return np.asarray(picture.crop((left, top, left + width, top + height)))
