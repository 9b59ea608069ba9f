"""`balanced`: fine-tuning that fits into a coffee break on two CPU cores."""

from andon.train.config import AugmentConfig, BudgetConfig, LossConfig, ModelConfig, TrainConfig
from andon.train.recipes import Recipe


def balanced() -> TrainConfig:
    """Fits the head first, then fine-tunes all but the first layers for about 7,000 photos; weights are averaged."""
    return TrainConfig(
        preset="balanced",
        average=0.99,
        model=ModelConfig(layers="auto"),
        loss=LossConfig(label_smoothing=0.05),
        augment=AugmentConfig(strength="medium"),
        budget=BudgetConfig(images_seen=7000),
    )


RECIPE = Recipe(title="fine-tunes the network: minutes", config=balanced)
