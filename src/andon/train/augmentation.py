"""Varies photos in training, a whole batch at once.

One affine resampling does turning, zooming, stretching, shifting and flipping; brightness, contrast and colour follow.
All of it is drawn from a generator seeded by (seed, step), so a resumed run draws the same (docs/decisions/0005).
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

from andon.train.config import AugmentConfig

_GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranges:
    """The widest a photo is changed.

    Attributes:
        turn_deg: degrees either way.
        zoom: the share of the side that may be cut off; half as much may be added as margin.
        shift: the share of the side it may move.
        stretch: by how much width and height may change against each other.
        brightness, contrast, saturation: by how much each may change, 0..1.
        erase: the share of photos of which a rectangle is painted over.
    """

    turn_deg: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    stretch: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    erase: float = 0.0


STRENGTHS: dict[str, Ranges] = {
    "none": Ranges(),
    "light": Ranges(turn_deg=5, zoom=0.1, shift=0.05, brightness=0.1, contrast=0.1, saturation=0.1),
    "medium": Ranges(turn_deg=12, zoom=0.25, shift=0.08, stretch=0.1, brightness=0.2, contrast=0.2, saturation=0.2),
    "strong": Ranges(
        turn_deg=20, zoom=0.4, shift=0.12, stretch=0.2, brightness=0.3, contrast=0.3, saturation=0.4, erase=0.25
    ),
}


def augment(pixels_bhwc: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Varied pixels float32 NHWC in 0..255 of uint8 NHWC ones; channels-last in memory throughout."""
    ranges = STRENGTHS[config.strength]
    x_bchw = pixels_bhwc.permute(0, 3, 1, 2).float()
    x_bchw = _move(x_bchw, ranges, config, generator)
    x_bchw = _recolour(x_bchw, ranges, generator)
    if ranges.erase:
        _erase(x_bchw, ranges.erase, generator)
    return x_bchw.permute(0, 2, 3, 1)


def _uniform(count: int, reach: float, generator: Generator) -> Tensor:
    return (torch.rand(count, generator=generator) * 2 - 1) * reach


def _move(x_bchw: Tensor, ranges: Ranges, config: AugmentConfig, generator: Generator) -> Tensor:
    count, _, height, width = x_bchw.shape
    turn = _uniform(count, math.radians(ranges.turn_deg), generator)
    cut = torch.rand(count, generator=generator) * 1.5 * ranges.zoom - 0.5 * ranges.zoom
    stretch = torch.exp(_uniform(count, math.log1p(ranges.stretch), generator) / 2)
    shift_x, shift_y = _uniform(count, ranges.shift, generator), _uniform(count, ranges.shift, generator)
    mirror_x = _mirror(count, config.flip_horizontal, generator)
    mirror_y = _mirror(count, config.flip_vertical, generator)
    zoom = 1 - cut
    cos, sin, aspect = torch.cos(turn), torch.sin(turn), width / height
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0] = cos * zoom * stretch * mirror_x
    matrix[:, 0, 1] = -sin * zoom / aspect * mirror_y
    matrix[:, 0, 2] = shift_x
    matrix[:, 1, 0] = sin * zoom * aspect * mirror_x
    matrix[:, 1, 1] = cos * zoom / stretch * mirror_y
    matrix[:, 1, 2] = shift_y
    grid = functional.affine_grid(matrix.to(x_bchw.device), list(x_bchw.shape), align_corners=False)
    return functional.grid_sample(x_bchw, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _mirror(count: int, allowed: bool, generator: Generator) -> Tensor:
    drawn = torch.rand(count, generator=generator) < 0.5
    return torch.where(drawn & torch.tensor(allowed), -1.0, 1.0)


def _recolour(x_bchw: Tensor, ranges: Ranges, generator: Generator) -> Tensor:
    count, device = len(x_bchw), x_bchw.device

    def factor(reach: float) -> Tensor:
        return (1 + _uniform(count, reach, generator)).to(device)[:, None, None, None]

    brightness, contrast, saturation = (
        factor(reach) for reach in (ranges.brightness, ranges.contrast, ranges.saturation)
    )
    mean_b111 = x_bchw.mean(dim=(1, 2, 3), keepdim=True)
    x_bchw = (x_bchw - mean_b111) * contrast + mean_b111 * brightness
    if ranges.saturation:
        weights = torch.tensor(_GREY, device=device).reshape(1, 3, 1, 1)
        grey_b1hw = (x_bchw * weights).sum(1, keepdim=True)
        x_bchw = grey_b1hw + (x_bchw - grey_b1hw) * saturation
    return x_bchw.clamp(0, 255)


def _erase(x_bchw: Tensor, share: float, generator: Generator) -> None:
    count, _, height, width = x_bchw.shape
    draws = torch.rand(count, 5, generator=generator).tolist()
    for image, (chosen, size_y, size_x, at_y, at_x) in zip(x_bchw, draws, strict=True):
        if chosen < share:
            tall, wide = int(height * (0.1 + 0.25 * size_y)), int(width * (0.1 + 0.25 * size_x))
            top, left = int((height - tall) * at_y), int((width - wide) * at_x)
            image[:, top : top + tall, left : left + wide] = image.mean(dim=(1, 2), keepdim=True)
