"""SqueezeNet (Iandola et al. 2016, arXiv:1602.07360)."""

from typing import Any

from andon.models.archs import Stage
from andon.models.archs._torchvision import Family, torchvision_arch


def _behead(module: Any) -> int:  # noqa: ANN401 - torchvision's networks share no typed base
    from torch import nn

    module.classifier = nn.AdaptiveAvgPool2d(1)
    return 512


ARCH = torchvision_arch(
    Family(
        title="SqueezeNet",
        names=("squeezenet1_0", "squeezenet1_1"),
        behead=_behead,
        # 1_0 and 1_1 place their pools differently; the stretch before each pool is named for the later one.
        stages=(
            Stage(module="features.1", stride=2),
            Stage(module="features.4", stride=4),
            Stage(module="features.7", stride=8),
            Stage(module="features.12", stride=16),
        ),
        head_prefixes=("classifier",),
    )
)
