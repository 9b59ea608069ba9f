"""Networks for tests."""

import torch

from andon.core.manifest import Normalisation
from andon.models.archs import Backbone, BuildRequest, find_arch
from andon.models.classifier import Classifier


def backbone(name: str, size_wh: tuple[int, int] | None = None, *, real: bool = True) -> Backbone:
    """A backbone with random weights from a fixed seed; not `real`: its shape alone, without memory."""
    torch.manual_seed(0)
    with torch.device("cpu" if real else "meta"):
        return find_arch(name).build(BuildRequest(name=name, size_wh=size_wh))


def classifier(name: str, size_wh: tuple[int, int] | None = None, *, real: bool = True) -> Classifier:
    """A classifier of three classes whose logits differ from image to image."""
    model = Classifier(backbone(name, size_wh, real=real), 3, normalisation=Normalisation())
    if real:
        torch.nn.init.normal_(model.head.weight)
    return model.eval()
