"""GoogLeNet, Inception v1 (Szegedy et al. 2014, arXiv:1409.4842), without its auxiliary heads."""

from andon.models.archs import Stage
from andon.models.archs._torchvision import Family, behead_linear, torchvision_arch

ARCH = torchvision_arch(
    Family(
        title="GoogLeNet",
        names=("googlenet",),
        behead=behead_linear("fc"),
        stages=(
            Stage(module="conv1", stride=2),
            Stage(module="conv3", stride=4),
            Stage(module="inception3b", stride=8),
            Stage(module="inception4e", stride=16),
            Stage(module="inception5b", stride=32),
        ),
        head_prefixes=("fc", "aux1", "aux2"),
        options={"aux_logits": False, "transform_input": True, "init_weights": True},
    )
)
