"""Finds for every tensor of a network its namesake in a weights file, or refuses."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from andon.errors import BadWeights
from andon.models.archs import Backbone

# timm's networks that list the same layers in the same order as torchvision's under other names, and torchvision's name
# of each. Proved by equal outputs in tests/models/test_weights_match.py, and extended only with such a proof.
SAME_ORDER = {
    "mobilenetv2_100": "mobilenet_v2",
    "mobilenetv3_large_100": "mobilenet_v3_large",
    "mobilenetv3_small_100": "mobilenet_v3_small",
    **{f"vgg{depth}{kind}": f"vgg{depth}{kind}" for depth in (11, 13, 16, 19) for kind in ("", "_bn")},
    **{f"convnext_{size}": f"convnext_{size}" for size in ("tiny", "small", "base", "large")},
    **{f"efficientnet_b{size}": f"efficientnet_b{size}" for size in range(5)},
}

# What torchvision's layers do differently from timm's under equal weights: the epsilon of batch norm.
TORCHVISION_BN_EPS = {"mobilenetv3_": 1e-3}

# Side heads that only training used.
_SIDE_HEADS = ("AuxLogits", "aux1", "aux2")

# torchvision's first DenseNet files write `norm.1` for `norm1`.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(?=\d\.)")

_COUNTER = "num_batches_tracked"


def load_matched(
    source: Mapping[str, Tensor],
    backbone: Backbone,
    *,
    keys: Literal["timm", "torchvision"],
    arch: str,
    where: str,
) -> None:
    """Puts the tensors of `source` into the backbone; see `match_names`.

    Raises:
        BadWeights: something does not match; the network is as it was.
    """
    matched = match_names(source, backbone, keys=keys, arch=arch, where=where)
    with torch.no_grad():
        for name, tensor in backbone.module.state_dict().items():
            if name in matched:
                tensor.copy_(matched[name])
    if keys == "torchvision":
        for prefix, eps in TORCHVISION_BN_EPS.items():
            if arch.startswith(prefix):
                _set_bn_eps(backbone.module, eps)


def _set_bn_eps(module: nn.Module, eps: float) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = eps


def match_names(
    source: Mapping[str, Tensor],
    backbone: Backbone,
    *,
    keys: Literal["timm", "torchvision"],
    arch: str,
    where: str,
) -> dict[str, Tensor]:
    """The tensors of `source` under the backbone's own names.

    Every tensor of the backbone gets one of the same shape, and every tensor of the source is used, save those of its
    head. Batch norm's step counters, which change nothing, may be missing.

    Args:
        source: tensors by name.
        backbone: what they are for.
        keys: whose names they carry.
        arch: the network's name.
        where: the file, for messages.

    Raises:
        BadWeights: something does not match; the first names are listed.
    """
    target = {name: value for name, value in backbone.module.state_dict().items() if not name.endswith(_COUNTER)}
    given = {name: value for name, value in source.items() if not name.endswith(_COUNTER)}
    heads: tuple[str, ...] = (*backbone.head_prefixes, *_SIDE_HEADS)
    source_names = {name: name for name in target}
    if keys == "torchvision":
        given = {_OLD_DENSENET.sub(r"\1", name): value for name, value in given.items()}
        if arch in SAME_ORDER and not given.keys() >= target.keys():
            source_names, heads = _torchvision_names(SAME_ORDER[arch], list(target))
    body = {name: value for name, value in given.items() if not _in_head(name, heads)}
    known = set(source_names.values())
    faults = {
        "missing": [name for name in source_names.values() if name not in body],
        "unused": [name for name in body if name not in known],
        "of another shape": [
            f"{given_name} {tuple(body[given_name].shape)} for {tuple(target[name].shape)}"
            for name, given_name in source_names.items()
            if given_name in body and not _fits(body[given_name], target[name])
        ],
    }
    if any(faults.values()):
        said = "; ".join(f"{len(names)} {what}: {_some(names)}" for what, names in faults.items() if names)
        raise BadWeights(f"{where} does not fit {arch}: {said}")
    return {name: body[given_name].reshape(target[name].shape) for name, given_name in source_names.items()}


def _torchvision_names(network: str, target: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Our name of each tensor → torchvision's, and torchvision's names of the tensors of the head.

    They come from torchvision's own network: a safetensors file does not keep the order of its tensors.
    """
    from torchvision import models

    with torch.device("meta"):
        names = [name for name in models.get_model(network, weights=None).state_dict() if not name.endswith(_COUNTER)]
    return dict(zip(target, names[: len(target)], strict=True)), tuple(names[len(target) :])


def _fits(given: Tensor, wanted: Tensor) -> bool:
    """A fully connected layer may be written as the convolution it equals, a scale per channel as [C] or [C, 1, 1]."""
    other_form = {given.ndim, wanted.ndim} in ({2, 4}, {1, 3}) and given.numel() == wanted.numel()
    return given.shape == wanted.shape or other_form


def _in_head(name: str, prefixes: Sequence[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
