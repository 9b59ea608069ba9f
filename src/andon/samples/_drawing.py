"""What the samples draw with: noise of every grain, and stamps that may overlap the edge.

Pictures are float32 [H, W] while they are drawn; masks are bool [H, W].
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PictureHW = NDArray[np.float32]
MaskHW = NDArray[np.bool_]


def filtered_noise(rng: np.random.Generator, size_px: int, *, grain_y_px: float, grain_x_px: float) -> PictureHW:
    """Gaussian noise of zero mean and unit deviation, blurred by Gaussians of these widths; it tiles seamlessly."""
    white = rng.standard_normal((size_px, size_px), dtype=np.float32)
    spectrum = np.fft.rfft2(white) * _blur(size_px, grain_y_px, grain_x_px)
    noise = np.fft.irfft2(spectrum, s=(size_px, size_px)).astype(np.float32)
    return normalised(noise)


def clouds(rng: np.random.Generator, size_px: int, *, cells_y: int, cells_x: int) -> PictureHW:
    """Smooth noise of about unit deviation with this many bumps from edge to edge."""
    coarse = rng.standard_normal((cells_y + 1, cells_x + 1), dtype=np.float32)
    image = Image.fromarray(coarse).resize((size_px, size_px), Image.Resampling.BICUBIC)
    return np.asarray(image, np.float32)


def wandering(rng: np.random.Generator, length: int, *, bumps: int) -> NDArray[np.float32]:
    """A smooth random line [length] of about unit deviation."""
    knots = np.linspace(0, length - 1, max(2, bumps + 1))
    fine = np.interp(np.arange(length), knots, rng.standard_normal(len(knots)))
    width = max(1, length // (2 * max(1, bumps)))
    window = np.hanning(2 * width + 1)
    padded = np.pad(fine, width, mode="edge")
    line: NDArray[np.float32] = np.convolve(padded, window / window.sum(), mode="valid").astype(np.float32)
    return line


def normalised(noise: PictureHW) -> PictureHW:
    """`noise` shifted and scaled to zero mean and unit deviation."""
    deviation = float(noise.std())
    scaled: PictureHW = (noise - noise.mean()) / (deviation if deviation > 0 else 1.0)
    return scaled


def stamp(picture: PictureHW, shape: PictureHW, *, top: int, left: int) -> None:
    """Adds `shape` to `picture` in place; what lies beyond the edges is cut off."""
    height, width = picture.shape
    y0, x0 = max(0, top), max(0, left)
    y1, x1 = min(height, top + shape.shape[0]), min(width, left + shape.shape[1])
    if y0 < y1 and x0 < x1:
        picture[y0:y1, x0:x1] += shape[y0 - top : y1 - top, x0 - left : x1 - left]


@cache
def _blur(size_px: int, grain_y_px: float, grain_x_px: float) -> NDArray[np.float32]:
    fy = np.fft.fftfreq(size_px)[:, None]
    fx = np.fft.rfftfreq(size_px)[None, :]
    blur: NDArray[np.float32] = np.exp(-2 * np.pi**2 * ((fy * grain_y_px) ** 2 + (fx * grain_x_px) ** 2)).astype(
        np.float32
    )
    return blur
