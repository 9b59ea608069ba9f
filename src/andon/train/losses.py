"""What is minimised, and how rare classes are made to count."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from andon.train.config import LossConfig

Loss = Callable[[Tensor, Tensor], Tensor]  # logits [B, C], targets [B, C] in 0..1 → the loss of each image [B]


def make_loss(config: LossConfig, targets_nc: NDArray[np.float32], *, multi_label: bool) -> Loss:
    """The loss of each image of a batch; targets are zeros and ones [B, C]."""
    weights_c = torch.from_numpy(class_weights(config, targets_nc))
    smoothing = config.label_smoothing
    num_classes = targets_nc.shape[1]

    def cross_entropy(logits_bc: Tensor, targets_bc: Tensor) -> Tensor:
        smooth_bc = targets_bc * (1 - smoothing) + smoothing / num_classes
        weight_b = (targets_bc * weights_c.to(targets_bc.device)).sum(1)
        loss_b: Tensor = -(smooth_bc * functional.log_softmax(logits_bc.float(), dim=1)).sum(1) * weight_b
        return loss_b

    def binary_cross_entropy(logits_bc: Tensor, targets_bc: Tensor) -> Tensor:
        smooth_bc = targets_bc * (1 - smoothing) + smoothing / 2
        each_bc = functional.binary_cross_entropy_with_logits(logits_bc.float(), smooth_bc, reduction="none")
        weight_bc = 1 + targets_bc * (weights_c.to(targets_bc.device) - 1)
        return (each_bc * weight_bc).mean(1)

    return binary_cross_entropy if multi_label else cross_entropy


def class_weights(config: LossConfig, targets_nc: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much each class weighs in the loss [C], with a mean of 1 over images: rarer classes more, if asked for."""
    counts_c = np.maximum(targets_nc.sum(axis=0), 1.0)
    if config.class_balance != "weights":
        return np.ones_like(counts_c, dtype=np.float32)
    return np.asarray(counts_c.sum() / (len(counts_c) * counts_c), np.float32)


def drawing_weights(config: LossConfig, targets_nc: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """How likely each image is drawn [N], summing to 1, or None where each is drawn once an epoch."""
    if config.class_balance != "sampling":
        return None
    rarity_c = 1.0 / np.maximum(targets_nc.sum(axis=0), 1.0)
    weight_n = np.maximum((targets_nc * rarity_c).max(axis=1), rarity_c.min()).astype(np.float64)
    return np.asarray(weight_n / weight_n.sum(), np.float64)
