"""Photographs of cold-rolled steel strip that nobody took: brushed metal in uneven light, with and without defects.

Rolling direction is vertical, as a line camera above the strip sees it. Four defects and `good`:

    scratches   thin bright or dark lines, slightly curved, often several in parallel
    inclusions  dark ragged streaks, drawn out along the rolling direction
    patches     large blotches that reflect less (or more) light
    pitting     clusters of small dark pits, each with a bright rim on the side that faces the light

The looks follow Song and Yan, "A noise robust method based on completed local binary patterns for hot-rolled steel
strip surface defects" (Applied Surface Science 285, 2013), which describes such defects; no picture of theirs is used.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from andon.core.machine import available_cpus
from andon.core.progress import Progress
from andon.samples import Sample, SampleOptions
from andon.samples._drawing import MaskHW, PictureHW, clouds, filtered_noise, stamp, wandering

JPEG_QUALITY = 92
_BRUSH_LENGTHS_PX = (6.0, 12.0, 24.0)
# A defect covers the pixels that it changes by more than this share of its greatest change.
_VISIBLE = 0.25
# A defect changes its pixels by at least so many times the mean step between neighbouring pixels of the strip.
_LEAST_CONTRAST = 2.0

# Draws one defect: the change of brightness (in grey levels of a middling bright strip) and the pixels concerned.
Defect = Callable[[np.random.Generator, int], tuple[PictureHW, MaskHW]]


def draw_strip(rng: np.random.Generator, size_px: int) -> PictureHW:
    """Clean strip: grey levels [H, W], brushed along the rolling direction, unevenly lit."""
    brushed = filtered_noise(rng, size_px, grain_y_px=rng.choice(_BRUSH_LENGTHS_PX), grain_x_px=0.5)
    grain = filtered_noise(rng, size_px, grain_y_px=0.6, grain_x_px=0.6)
    bands = wandering(rng, size_px, bumps=int(rng.integers(4, 24)))[None, :]
    stains = clouds(rng, size_px, cells_y=3, cells_x=3)
    y, x = np.mgrid[-1 : 1 : size_px * 1j, -1 : 1 : size_px * 1j].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    light = rng.uniform(0, 18) * (np.cos(angle) * x + np.sin(angle) * y) - rng.uniform(0, 10) * (x * x + y * y)
    level = rng.uniform(95, 165)
    strip: PictureHW = (
        level
        + light
        + rng.uniform(2.5, 4.5) * brushed
        + rng.uniform(1.5, 3) * grain
        + rng.uniform(1, 4) * bands
        + rng.uniform(0, 3) * stains
    ).astype(np.float32)
    return strip


def draw_scratches(rng: np.random.Generator, size_px: int) -> tuple[PictureHW, MaskHW]:
    """Two to five scratches or bundles of parallel ones, mostly along the strip, sometimes across it."""
    change = np.zeros((size_px, size_px), np.float32)
    across = rng.random() < 0.25
    for _ in range(int(rng.integers(2, 6))):
        sign = 1.0 if rng.random() < 0.75 else -0.7
        strength = sign * rng.uniform(50, 120)
        length = round(size_px * rng.uniform(0.35, 1.0))
        top = int(rng.integers(0, size_px - length + 1))
        centre = rng.uniform(0.08, 0.92) * size_px
        slope = rng.normal(0, 0.12) if rng.random() < 0.75 else rng.uniform(-0.8, 0.8)
        for strand in range(int(rng.choice((1, 1, 1, 2, 3)))):
            line = _scratch(rng, size_px, length, centre + strand * rng.uniform(2.5, 7), slope)
            change[top : top + length] += strength * line * rng.uniform(0.6, 1.0)
    if across:
        change = np.ascontiguousarray(change.T)
    return change, _covered(change)


def draw_inclusions(rng: np.random.Generator, size_px: int) -> tuple[PictureHW, MaskHW]:
    """Four to fifteen dark streaks along the rolling direction, often one behind the other."""
    change = np.zeros((size_px, size_px), np.float32)
    ragged = filtered_noise(rng, size_px, grain_y_px=4.0, grain_x_px=1.2)
    lane = rng.uniform(0.15, 0.85) * size_px
    spread = rng.uniform(0.03, 0.25) * size_px
    for _ in range(int(rng.integers(4, 16))):
        half_length = size_px * rng.uniform(0.05, 0.2)
        half_width = max(1.2, half_length * rng.uniform(0.08, 0.22))
        centre_y, centre_x = rng.uniform(0, size_px), rng.normal(lane, spread)
        y = np.arange(size_px, dtype=np.float32)[:, None]
        x = np.arange(size_px, dtype=np.float32)[None, :]
        bend = wandering(rng, size_px, bumps=6)[:, None] * half_width * 0.6
        inside = 1 - ((y - centre_y) / half_length) ** 2 - ((x - centre_x - bend) / half_width) ** 2 + 0.35 * ragged
        change = np.minimum(change, -rng.uniform(30, 75) * np.clip(inside * 1.6, 0, 1))
    return change, _covered(change)


def draw_patches(rng: np.random.Generator, size_px: int) -> tuple[PictureHW, MaskHW]:
    """Two to four large blotches with frayed edges and a rougher inside."""
    change = np.zeros((size_px, size_px), np.float32)
    y, x = np.mgrid[0:size_px, 0:size_px].astype(np.float32)
    fibres = filtered_noise(rng, size_px, grain_y_px=4.0, grain_x_px=1.0)
    frayed = 0.5 * clouds(rng, size_px, cells_y=6, cells_x=8) + 0.13 * fibres
    mottled = np.clip(0.8 + 0.2 * clouds(rng, size_px, cells_y=10, cells_x=12) + 0.06 * fibres, 0.3, 1.2)
    strength = rng.uniform(38, 80) * (-1.0 if rng.random() < 0.85 else 0.7)
    for _ in range(int(rng.integers(2, 5))):
        centre_y, centre_x = rng.uniform(0.05, 0.95, 2) * size_px
        half_x = size_px * rng.uniform(0.1, 0.24)
        half_y = half_x * rng.uniform(0.9, 2.6)
        inside = 1 - ((y - centre_y) / half_y) ** 2 - ((x - centre_x) / half_x) ** 2 + frayed
        blotch = np.clip(inside * rng.uniform(0.7, 1.8), 0, 1) * rng.uniform(0.7, 1.0)
        blotch = (blotch * blotch * (3 - 2 * blotch)).astype(np.float32)
        change = np.maximum(change, blotch)
    change *= mottled * strength
    return change, _covered(change)


def draw_pitting(rng: np.random.Generator, size_px: int) -> tuple[PictureHW, MaskHW]:
    """Two to four clusters of small pits: dark, with a bright rim towards the light."""
    change = np.zeros((size_px, size_px), np.float32)
    light = rng.uniform(0, 2 * np.pi)
    strength = rng.uniform(45, 95)
    largest = rng.uniform(1.8, 4.2) * size_px / 256
    for _ in range(int(rng.integers(2, 5))):
        centre = rng.uniform(0.15, 0.85, 2) * size_px
        spread = np.array((rng.uniform(0.1, 0.35), rng.uniform(0.06, 0.22))) * size_px
        for _ in range(int(rng.integers(30, 110))):
            radius = max(0.9, largest * rng.uniform(0.5, 1.0) ** 1.5)
            pit = _pit(radius, light) * strength * rng.uniform(0.5, 1.0)
            y, x = rng.normal(centre, spread) - pit.shape[0] / 2
            stamp(change, pit, top=round(y), left=round(x))
    return change, _covered(np.minimum(change, 0))


DEFECTS: dict[str, Defect | None] = {
    "good": None,
    "inclusions": draw_inclusions,
    "patches": draw_patches,
    "pitting": draw_pitting,
    "scratches": draw_scratches,
}


def draw_image(name: str, number: int, options: SampleOptions) -> tuple[PictureHW, MaskHW]:
    """Image `number` of class `name`: grey levels 0..255 [H, W] and the defect's pixels; drawn from its own seed."""
    size = options.size_px
    rng = np.random.default_rng((options.seed, tuple(DEFECTS).index(name), number))
    strip = draw_strip(rng, size)
    defect = DEFECTS[name]
    mask: MaskHW = np.zeros((size, size), np.bool_)
    if defect is not None:
        change, mask = defect(rng, size)
        # A dark strip shows every mark less: light that is not there cannot be reflected otherwise.
        mark: PictureHW = (change * (0.45 + strip / 240) * rng.uniform(0.65, 1.1)).astype(np.float32)
        strip += mark * _at_least_visible(mark, mask, strip)
    strip += rng.uniform(0.5, 1.5) * rng.standard_normal((size, size), dtype=np.float32)
    return np.clip(strip, 0, 255), mask


def draw(out: Path, options: SampleOptions, progress: Progress) -> None:
    """Draws the sample: `out/images/CLASS/CLASS_0001.jpg`, and `out/masks/CLASS/CLASS_0001.png` of 0 and 255."""
    for name in DEFECTS:
        (out / "images" / name).mkdir(parents=True)
        (out / "masks" / name).mkdir(parents=True)
    work = [(name, number) for name in DEFECTS for number in range(options.images_per_class)]
    progress.start("Drawing steel strips", len(work))
    with ThreadPoolExecutor(available_cpus()) as pool:
        for _ in pool.map(partial(_write, out, options), work):
            progress.advance()


def _write(out: Path, options: SampleOptions, item: tuple[str, int]) -> None:
    name, number = item
    grey, mask = draw_image(name, number, options)
    stem = f"{name}_{number + 1:04d}"
    photo = Image.fromarray(grey.astype(np.uint8))
    photo.save(out / "images" / name / f"{stem}.jpg", "JPEG", quality=JPEG_QUALITY)
    truth = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
    truth.save(out / "masks" / name / f"{stem}.png", "PNG", compress_level=3)


def _at_least_visible(mark: PictureHW, mask: MaskHW, strip: PictureHW) -> float:
    """The factor that lifts a mark out of the texture around it; 1 where it stands out by itself."""
    if not mask.any():
        return 1.0
    texture = float(np.abs(np.diff(strip, axis=1)).mean())
    return max(1.0, _LEAST_CONTRAST * texture / float(np.abs(mark[mask]).mean()))


def _scratch(rng: np.random.Generator, size_px: int, length: int, centre: float, slope: float) -> PictureHW:
    """One scratch [length, W] running downwards: a bright core of changing width between darker shoulders."""
    run = np.arange(length, dtype=np.float32)
    middle = centre + slope * (run - length / 2) + wandering(rng, length, bumps=3) * length * 0.012
    taper = np.sin(np.pi * np.clip((run + 0.5) / length, 0, 1)) ** rng.uniform(0.2, 0.8)
    width = np.clip(rng.uniform(0.9, 2.4) * (1 + 0.35 * wandering(rng, length, bumps=12)), 0.5, 4) * size_px / 256
    pressure = np.clip(taper * (0.8 + 0.45 * wandering(rng, length, bumps=20)), 0, 1)
    away = (np.arange(size_px, dtype=np.float32)[None, :] - middle[:, None]) / width[:, None]
    square = away * away
    profile = np.exp(-square) - 0.25 * np.exp(-((np.sqrt(square) - 2.0) ** 2))
    line: PictureHW = (profile * pressure[:, None]).astype(np.float32)
    return line


def _pit(radius_px: float, light: float) -> PictureHW:
    """One pit [S, S] with its greatest depth near −1."""
    reach = int(np.ceil(radius_px * 2.6))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32) / radius_px
    distance = np.hypot(x, y)
    towards = (np.cos(light) * x + np.sin(light) * y) / np.maximum(distance, 0.3)
    rim = np.exp(-(((distance - 1.5) / 0.45) ** 2)) * np.clip(0.25 + 0.75 * towards, 0, 1)
    pit: PictureHW = (0.7 * rim - np.exp(-((distance / 0.95) ** 2))).astype(np.float32)
    return pit


def _covered(change: PictureHW) -> MaskHW:
    depth = np.abs(change)
    covered: MaskHW = depth > _VISIBLE * max(float(depth.max()), 1.0)
    return covered


SAMPLE = Sample(
    name="steel_strips",
    title="Cold-rolled steel strip with scratches, inclusions, patches and pitting, and without defects",
    classes=tuple(DEFECTS),
    draw=draw,
)
