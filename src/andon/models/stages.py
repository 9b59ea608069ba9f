"""Which parameters train: `heads`, `n+` or `all`, for every arch by its stages.

`n+` is every block whose feature stride is at least 2ⁿ, and the head. Networks whose stride is the same throughout
(transformers without a pyramid) are cut in quarters of their blocks instead: `5+` the last one, `4+` the last two,
`3+` the last three.
"""

from typing import Literal

from torch import nn

from andon.models.archs import Stage
from andon.models.classifier import Classifier

Layers = Literal["heads", "5+", "4+", "3+", "all"]

_LEAST_STRIDE: dict[Layers, int] = {"5+": 32, "4+": 16, "3+": 8}
_QUARTERS: dict[Layers, int] = {"5+": 1, "4+": 2, "3+": 3}


def freeze(model: Classifier, layers: Layers) -> int:
    """Lets only the parameters of `layers` train.

    Returns:
        How many parameters (numbers, not tensors) train.
    """
    if layers == "all":
        trained = set(model.backbone.state_dict())
    elif layers == "heads":
        trained = set()
    else:
        trained = _from_stage(model.backbone, model.stages, layers)
    for name, parameter in model.backbone.named_parameters():
        parameter.requires_grad_(name in trained)
    for parameter in model.head.parameters():
        parameter.requires_grad_(True)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def frozen_modules(model: Classifier) -> list[nn.Module]:
    """The modules of the backbone that have parameters of their own, none of which trains."""
    return [
        module
        for module in model.backbone.modules()
        if (own := list(module.parameters(recurse=False))) and not any(p.requires_grad for p in own)
    ]


def _from_stage(backbone: nn.Module, stages: tuple[Stage, ...], layers: Layers) -> set[str]:
    strides = [stage.stride for stage in stages]
    if len(set(strides)) <= 1:
        return _last_quarters(backbone, stages, _QUARTERS[layers])
    least = min(_LEAST_STRIDE[layers], max(strides))
    first = next(index for index, stride in enumerate(strides) if stride >= least)
    if first == 0:
        return {name for name, _ in backbone.named_parameters()}
    return _after(backbone, stages[first - 1].module)


def _last_quarters(backbone: nn.Module, stages: tuple[Stage, ...], quarters: int) -> set[str]:
    if len(stages) >= 4:
        frozen_blocks = len(stages) - round(len(stages) * quarters / 4)
        return _after(backbone, stages[frozen_blocks - 1].module)
    names = [name for name, _ in backbone.named_parameters()]
    return set(names[len(names) - round(len(names) * quarters / 4) :])


def _after(backbone: nn.Module, boundary: str) -> set[str]:
    """The parameters of every module that is registered after `boundary` and all inside it."""
    order = {name: position for position, (name, _) in enumerate(backbone.named_modules())}
    end = max(position for name, position in order.items() if name == boundary or name.startswith(f"{boundary}."))
    return {name for name, _ in backbone.named_parameters() if order[name.rpartition(".")[0]] > end}
