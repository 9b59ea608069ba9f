"""ShuffleNet v2 (Ma et al. 2018, arXiv:1807.11164)."""

from andon.models.archs import Stage
from andon.models.archs._torchvision import Family, behead_linear, torchvision_arch

ARCH = torchvision_arch(
    Family(
        title="ShuffleNet v2",
        names=("shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0"),
        behead=behead_linear("fc"),
        stages=(
            Stage(module="conv1", stride=2),
            Stage(module="maxpool", stride=4),
            Stage(module="stage2", stride=8),
            Stage(module="stage3", stride=16),
            Stage(module="conv5", stride=32),
        ),
        head_prefixes=("fc",),
    )
)
