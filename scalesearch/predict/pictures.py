"""What a person can give for an image."""

import os
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scalesearch.data.decoding import EncodedImage

ImageInput: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any]
"""The path of a file; the bytes of one; an image of Pillow; or pixels, uint8 or uint16 of shape
(H, W), (H, W, 1), (H, W, 3) or, with transparency, (H, W, 4)."""

CHANNELS = (1, 3, 4)


def to_decodable(image: ImageInput) -> EncodedImage | Image.Image:
    """The same image as decoding takes it.

    Raises TypeError for what is none of these, ValueError for an array of another form.
    """
    match image:
        case str() | os.PathLike():
            return Path(image)
        case bytes():
            return BytesIO(image)
        case Image.Image():
            return image
        case np.ndarray():
            return _image_from_array(image)
    raise TypeError(
        "need an image's path, its bytes, an image of Pillow or an array, got "
        f"{type(image).__name__}; predict_batch takes several"
    )


def image_name(image: ImageInput, index: int) -> str:
    """Its path, or its place among those given, from 0."""
    return os.fspath(image) if isinstance(image, str | os.PathLike) else f"image {index}"


def _image_from_array(pixels: NDArray[Any]) -> Image.Image:
    shape, dtype = pixels.shape, pixels.dtype
    is_image_shape = len(shape) == 2 or (len(shape) == 3 and shape[2] in CHANNELS)
    if not is_image_shape or dtype not in (np.uint8, np.uint16) or 0 in shape:
        raise ValueError(
            "need uint8 or uint16 of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), "
            f"got {dtype} of shape {shape}"
        )
    if dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    contiguous_pixels = pixels[..., 0] if len(shape) == 3 and shape[2] == 1 else pixels
    return Image.fromarray(np.ascontiguousarray(contiguous_pixels))
