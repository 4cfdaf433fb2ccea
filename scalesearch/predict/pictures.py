"""What a person can give for an image."""

import os
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scalesearch.data.decoding import EncodedImage

Picture: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any]
"""The path of a file; the bytes of one; an image of Pillow; or pixels, uint8 or uint16 of shape
(H, W), (H, W, 1), (H, W, 3) or, with transparency, (H, W, 4)."""

CHANNELS = (1, 3, 4)


def decodable(picture: Picture) -> EncodedImage | Image.Image:
    """The same image as decoding takes it.

    Raises TypeError for what is none of these, ValueError for an array of another form.
    """
    match picture:
        case str() | os.PathLike():
            return Path(picture)
        case bytes():
            return BytesIO(picture)
        case Image.Image():
            return picture
        case np.ndarray():
            return _image(picture)
    raise TypeError(
        "need an image's path, its bytes, an image of Pillow or an array, got "
        f"{type(picture).__name__}; predict_batch takes several"
    )


def name_of(picture: Picture, number: int) -> str:
    """Its path, or its place among those given, from 0."""
    return os.fspath(picture) if isinstance(picture, str | os.PathLike) else f"image {number}"


def _image(pixels: NDArray[Any]) -> Image.Image:
    shape, dtype = pixels.shape, pixels.dtype
    whole = len(shape) == 2 or (len(shape) == 3 and shape[2] in CHANNELS)
    if not whole or dtype not in (np.uint8, np.uint16) or 0 in shape:
        raise ValueError(
            "need uint8 or uint16 of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), "
            f"got {dtype} of shape {shape}"
        )
    if dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    flat = pixels[..., 0] if len(shape) == 3 and shape[2] == 1 else pixels
    return Image.fromarray(np.ascontiguousarray(flat))
