"""`best`: more steps and stronger variation, for the figure that goes into production."""

from andon.train.config import AugmentConfig, BudgetConfig, LossConfig, ModelConfig, TrainConfig
from andon.train.recipes import Recipe


def best() -> TrainConfig:
    """Fits the head first, then fine-tunes everything for about 40,000 photos, averaging the weights."""
    return TrainConfig(
        preset="best",
        average=0.998,
        model=ModelConfig(dropout=0.1),
        loss=LossConfig(label_smoothing=0.1),
        augment=AugmentConfig(strength="strong"),
        budget=BudgetConfig(images_seen=40000),
    )


RECIPE = Recipe(title="fine-tunes longer with stronger variation: a quarter of an hour and more", config=best)
