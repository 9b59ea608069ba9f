"""Sample datasets that Andon draws itself, so that everything can be tried without a photo and without a network.

A sample is a module of this package that binds `SAMPLE = Sample(...)`. On the command line its name is written with
hyphens: `steel_strips.py` is `steel-strips`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from andon.core.catalog import Catalog
from andon.core.progress import Progress
from andon.errors import BadConfig, BadData, UserError, did_you_mean

__all__ = ["SAMPLES", "Sample", "SampleOptions", "draw_sample", "sample_names"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleOptions:
    """How much is drawn.

    Attributes:
        images_per_class: at least 1.
        size_px: width and height of each image, at least 64.
        seed: the same seed draws the same files, byte for byte (under the same numpy and Pillow); a larger set begins
            with the smaller one.
    """

    images_per_class: int = 60
    size_px: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = []
        if self.images_per_class < 1:
            wrong.append(f"images per class: expected at least 1, got {self.images_per_class}")
        if not 64 <= self.size_px <= 2048:
            wrong.append(f"size: expected 64 to 2048 pixels, got {self.size_px}")
        if self.seed < 0:
            wrong.append(f"seed: expected 0 or more, got {self.seed}")
        if wrong:
            raise BadConfig(wrong)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A dataset that can be drawn.

    Attributes:
        name: the plug-in's name, which is its file's name.
        title: one line for people.
        classes: the classes it draws.
        draw: draws it into a folder as `images/CLASS/*.jpg` and `masks/CLASS/*.png`; what the disk says, it raises.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    draw: Callable[[Path, SampleOptions, Progress], None]


SAMPLES = Catalog("andon.samples", "SAMPLE", Sample, "sample")


def sample_names() -> tuple[str, ...]:
    """Every sample as the command line calls it."""
    return tuple(name.replace("_", "-") for name in SAMPLES.names())


def draw_sample(name: str, out: Path, options: SampleOptions, progress: Progress) -> Sample:
    """Draws the sample `name` (with hyphens or underscores) into the folder `out`, which must be new or empty.

    Raises:
        BadConfig: there is no such sample.
        BadData: `out` holds something already.
        UserError: `out` cannot be written.
    """
    if name not in sample_names() and name not in SAMPLES.names():
        raise BadConfig([f"there is no sample named {name!r}. {did_you_mean(name, sample_names())}"])
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadData(f"{out} is there already; give a new or an empty folder, so that nothing gets mixed or lost")
    sample = SAMPLES.get(name.replace("-", "_"))
    try:
        sample.draw(out, options, progress)
    except OSError as error:
        raise UserError(f"cannot write {error.filename or out}: {error.strerror or error}") from error
    return sample
