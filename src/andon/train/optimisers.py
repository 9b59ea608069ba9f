"""Optimisers by name, with weight decay only where it belongs."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from andon.models.classifier import Classifier
from andon.train.config import OptimiserConfig, OptimiserName

Groups = Iterable[dict[str, Any]]

OPTIMISERS: dict[OptimiserName, Callable[[Groups, OptimiserConfig], Optimizer]] = {
    "adam": lambda g, c: torch.optim.Adam(g, lr=c.learning_rate, betas=(c.momentum, 0.999)),
    "adamw": lambda g, c: torch.optim.AdamW(g, lr=c.learning_rate, betas=(c.momentum, 0.999)),
    "nadam": lambda g, c: torch.optim.NAdam(g, lr=c.learning_rate, betas=(c.momentum, 0.999)),
    "radam": lambda g, c: torch.optim.RAdam(g, lr=c.learning_rate, betas=(c.momentum, 0.999)),
    "adagrad": lambda g, c: torch.optim.Adagrad(g, lr=c.learning_rate),
    "adadelta": lambda g, c: torch.optim.Adadelta(g, lr=c.learning_rate, rho=0.95),
    # TF-Slim's rmsprop: decay 0.9, epsilon 1.0 under the root; torch adds it outside, so a small one is kept.
    "rmsprop": lambda g, c: torch.optim.RMSprop(g, lr=c.learning_rate, alpha=0.9, momentum=c.momentum, eps=1e-3),
    "sgd": lambda g, c: torch.optim.SGD(g, lr=c.learning_rate, momentum=c.momentum),
    "nesterov": lambda g, c: torch.optim.SGD(g, lr=c.learning_rate, momentum=c.momentum, nesterov=True),
}


def make_optimiser(model: Classifier, config: OptimiserConfig) -> Optimizer:
    """The optimiser over everything in `model` that trains.

    Parameters come in up to four groups: head or backbone, with or without weight decay; biases, norms and other
    vectors are never decayed. Each group carries `highest_rate`, which `set_rate` scales.
    """
    groups: list[dict[str, Any]] = []
    for part, factor in ((model.backbone, 1.0), (model.head, config.head_factor)):
        for decayed in (True, False):
            parameters = [p for p in _trained(part) if (p.ndim > 1) is decayed]
            if parameters:
                rate = config.learning_rate * factor
                decay = config.weight_decay if decayed else 0.0
                groups.append({"params": parameters, "lr": rate, "highest_rate": rate, "weight_decay": decay})
    return OPTIMISERS[config.name](groups, config)


def set_rate(optimiser: Optimizer, factor: float) -> None:
    """Sets every group's learning rate to `factor` of its highest."""
    for group in optimiser.param_groups:
        group["lr"] = group["highest_rate"] * factor


def _trained(part: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in part.parameters() if parameter.requires_grad]
