"""One image file's bytes to pixels; Pillow does the decoding."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import DataError

MAX_IMAGE = 1 << 24  # bytes of one compressed image
MAX_PIXELS = 1 << 24
FORMATS = ("JPEG", "PNG")  # what the data sets have; of Pillow's others some start programs (PostScript)


def pillow(path: Path) -> Any:
    """Returns the module PIL.Image.

    Raises: DataError that names the data set's file if Pillow is not installed.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError:
        raise DataError(f"{path}: reading image files needs Pillow; pip install pillow") from None
    return Image


def decode(
    image_module: Any, data: bytes, name: str, size: int, *, grey: bool = False, resize: bool = False
) -> NDArray[np.uint8]:
    """Returns uint8 (size, size, 3), or (size, size) of a grey image.

    Args: image_module — what `pillow` returned; name — for messages; resize — bilinearly, from any size;
        otherwise the image must be size × size.
    Raises: DataError for damaged images, those of another size, and sizes that no data set has.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow warns before it unpacks a bomb
            with image_module.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DataError(f"{name}: {image.size} pixels; no image of these sets is so large")
                if not resize and image.size != (size, size):
                    raise DataError(f"{name}: {image.size} pixels; expected {(size, size)}")
                image = image.convert("L" if grey else "RGB")
                if resize:
                    image = image.resize((size, size), image_module.Resampling.BILINEAR)
                return np.asarray(image, dtype=np.uint8)
    except DataError:
        raise
    except image_module.UnidentifiedImageError:
        raise DataError(f"{name}: not a readable image (no JPEG or PNG)") from None
    except Exception as problem:  # a decoder meets damage with almost any kind of error
        raise DataError(f"{name}: not a readable image ({' '.join(str(problem).split())[:120]})") from None
