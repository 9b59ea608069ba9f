"""`balanced`: fine-tuning that fits into a coffee break on two CPU cores."""

from andon.train.config import AugmentConfig, BudgetConfig, LossConfig, TrainConfig
from andon.train.recipes import Recipe


def balanced() -> TrainConfig:
    """Fits the head first, then fine-tunes everything for about 8,000 photos."""
    return TrainConfig(
        preset="balanced",
        loss=LossConfig(label_smoothing=0.05),
        augment=AugmentConfig(strength="medium"),
        budget=BudgetConfig(images_seen=8000),
    )


RECIPE = Recipe(title="fine-tunes the whole network: minutes", config=balanced)
