"""`fast`: a frozen backbone, features computed once, a convex solver for the head. Seconds on a CPU."""

from andon.train.config import AugmentConfig, DataConfig, ModelConfig, TrainConfig
from andon.train.recipes import Recipe


def fast() -> TrainConfig:
    """Fits only the head, on cached features of photos a quarter larger than the backbone was trained at."""
    return TrainConfig(
        preset="fast",
        method="fit_head",
        data=DataConfig(enlarge=1.25),
        model=ModelConfig(layers="heads", tap_strides=(16,)),
        augment=AugmentConfig(strength="none", flip_horizontal=False),
    )


RECIPE = Recipe(title="fits a head on frozen features: seconds, good with pretrained weights", config=fast)
