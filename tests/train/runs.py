"""Small training runs for tests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from andon.core.settings import with_settings
from andon.train.config import TrainConfig
from andon.train.material import TrainRequest
from andon.train.pipeline import TrainResult, train
from andon.train.recipes import RECIPES

TINY = (
    "model.arch=test_resnet",
    "model.weights=none",
    "data.size_wh=[32,32]",
    "budget.epochs=2",
    "batch_size=8",
    "precision=f32",
)


def tiny_config(*settings: str, preset: str = "balanced") -> TrainConfig:
    """A preset with the smallest network at 32×32 for two epochs, and further settings."""
    return with_settings(RECIPES.get(preset).config(), [*TINY, *settings])


def tiny_run(data: Path, out: Path, *settings: str, preset: str = "balanced", resume: bool = False) -> TrainResult:
    """Trains with `tiny_config`."""
    return train(TrainRequest(data=data, out=out, config=tiny_config(*settings, preset=preset), resume=resume))


def write_photos(root: Path, counts: dict[str, int], colours: Sequence[tuple[int, int, int]] = ()) -> Path:
    """A folder of classes, each of its own colour with noise; every image differs from every other."""
    rng = np.random.default_rng(5)
    palette = colours or [(180, 40, 40), (40, 180, 40), (40, 40, 180), (170, 170, 30)]
    for (name, count), colour in zip(counts.items(), palette, strict=False):
        (root / name).mkdir(parents=True)
        for number in range(count):
            noise = rng.integers(-30, 30, (40, 48, 3))
            Image.fromarray((np.array(colour) + noise).astype(np.uint8)).save(root / name / f"{number:02d}.png")
    return root
