"""AlexNet in its one-tower form (Krizhevsky 2014, arXiv:1404.5997)."""

from typing import Any

from andon.models.archs import Stage
from andon.models.archs._torchvision import Family, torchvision_arch


def _behead(module: Any) -> int:  # noqa: ANN401 - torchvision's networks share no typed base
    from torch import nn

    size = int(module.classifier[6].in_features)
    module.classifier[6] = nn.Identity()
    return size


ARCH = torchvision_arch(
    Family(
        title="AlexNet",
        names=("alexnet",),
        behead=_behead,
        stages=(
            Stage(module="features.1", stride=4),
            Stage(module="features.4", stride=8),
            Stage(module="features.11", stride=16),
            Stage(module="classifier", stride=32),
        ),
        head_prefixes=("classifier.6",),
    )
)
