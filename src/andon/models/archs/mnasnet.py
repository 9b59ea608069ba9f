"""MnasNet (Tan et al. 2018, arXiv:1807.11626)."""

from typing import Any

from andon.models.archs import Stage
from andon.models.archs._torchvision import Family, torchvision_arch


def _behead(module: Any) -> int:  # noqa: ANN401 - torchvision's networks share no typed base
    from torch import nn

    size = int(module.classifier[1].in_features)
    module.classifier = nn.Identity()
    return size


ARCH = torchvision_arch(
    Family(
        title="MnasNet",
        names=("mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3"),
        behead=_behead,
        stages=(
            Stage(module="layers.7", stride=2),
            Stage(module="layers.8", stride=4),
            Stage(module="layers.9", stride=8),
            Stage(module="layers.11", stride=16),
            Stage(module="layers.16", stride=32),
        ),
        head_prefixes=("classifier",),
    )
)
