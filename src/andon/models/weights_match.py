"""Finds for every tensor of a network its namesake in a weights file, or refuses."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from andon.errors import BadWeights
from andon.models.archs import Backbone

# timm networks that list the same layers in the same order as torchvision's, under other names: proved by equal
# outputs in tests/models/test_weights_match.py, and extended only with such a proof.
SAME_ORDER = (
    *("mobilenetv2_100", "mobilenetv3_large_100", "mobilenetv3_small_100", "vgg", "densenet", "convnext_"),
    *(f"efficientnet_b{size}" for size in range(5)),
)

# What torchvision's layers do differently from timm's under equal weights: the epsilon of batch norm.
TORCHVISION_BN_EPS = {"mobilenetv3_": 1e-3}

# The last layer of torchvision's classifiers.
TORCHVISION_HEADS = ("classifier.1.", "classifier.3.", "classifier.6.", "classifier.2.", "classifier.", "fc.", "head.")

# Side heads that only training used.
_SIDE_HEADS = ("AuxLogits", "aux1", "aux2")

# timm's last name of a tensor where torchvision's differs.
_ROLE = {"gamma": "layer_scale"}

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
    body = {name: value for name, value in given.items() if not _in_head(name, (*backbone.head_prefixes, *_SIDE_HEADS))}
    if keys == "torchvision" and set(body) != set(target) and arch.startswith(SAME_ORDER):
        return _by_order(target, _without_last_layer(given, len(target)), where)
    missing = [name for name in target if name not in body]
    unused = [name for name in body if name not in target]
    wrong = [
        f"{name} {tuple(body[name].shape)} for {tuple(target[name].shape)}"
        for name in target
        if name in body and body[name].shape != target[name].shape
    ]
    if missing or unused or wrong:
        raise BadWeights(
            f"{where} does not fit {arch}: "
            + "; ".join(
                f"{len(names)} {what}: {_some(names)}"
                for what, names in (("missing", missing), ("unused", unused), ("of another shape", wrong))
                if names
            )
        )
    return {name: body[name] for name in target}


def _in_head(name: str, prefixes: Sequence[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _without_last_layer(given: Mapping[str, Tensor], wanted: int) -> dict[str, Tensor]:
    """`given` without its last weight and bias, where they are the head that the backbone does not have."""
    names = list(given)
    if len(names) == wanted + 2 and names[-1].endswith(".bias") and names[-1].startswith(TORCHVISION_HEADS):
        names = names[:-2]
    return {name: given[name] for name in names}


def _by_order(target: Mapping[str, Tensor], given: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    if len(target) != len(given):
        raise BadWeights(f"{where} has {len(given)} tensors before its head, the network {len(target)}")
    matched: dict[str, Tensor] = {}
    for (name, wanted), (given_name, tensor) in zip(target.items(), given.items(), strict=True):
        same_role = _ROLE.get(last := name.rpartition(".")[2], last) == given_name.rpartition(".")[2]
        # A fully connected layer may be written as the convolution it equals, a scale per channel as [C] or [C, 1, 1].
        same_shape = tensor.shape == wanted.shape or {tensor.ndim, wanted.ndim} in ({2, 4}, {1, 3})
        if not (same_role and same_shape and tensor.numel() == wanted.numel()):
            raise BadWeights(
                f"{where}: {given_name} {tuple(tensor.shape)} stands where {name} {tuple(wanted.shape)} was expected"
            )
        matched[name] = tensor.reshape(wanted.shape)
    return matched


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
