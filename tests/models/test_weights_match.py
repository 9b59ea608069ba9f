import re
from collections.abc import Mapping
from typing import Any, Literal

import pytest
import torch
from tests.models.networks import backbone
from torch import Tensor, nn
from torchvision import models

from andon.errors import BadWeights
from andon.models.archs import Backbone
from andon.models.weights_match import SAME_ORDER, load_matched, match_names

# Our name of a network → torchvision's; one of each kind that SAME_ORDER lists, then those matched by name.
PAIRS = {
    "mobilenetv2_100": "mobilenet_v2",
    "mobilenetv3_large_100": "mobilenet_v3_large",
    "mobilenetv3_small_100": "mobilenet_v3_small",
    "vgg11_bn": "vgg11_bn",
    "convnext_tiny": "convnext_tiny",
    "efficientnet_b0": "efficientnet_b0",
    "resnet18": "resnet18",
    "densenet121": "densenet121",
    "inception_v3": "inception_v3",
    "squeezenet1_1": "squeezenet1_1",
    "shufflenet_v2_x0_5": "shufflenet_v2_x0_5",
    "mnasnet0_5": "mnasnet0_5",
    "alexnet": "alexnet",
}


def _torchvision(name: str) -> nn.Module:
    """A random network of torchvision, its batch norms with statistics as after training."""
    torch.manual_seed(1)
    options: dict[str, Any] = {"init_weights": False} if name == "inception_v3" else {}
    network: nn.Module = models.get_model(name, weights=None, **options)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None and layer.running_var is not None:
            nn.init.normal_(layer.running_mean, std=0.1)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
    return network.eval()


def _before_last_layer(network: nn.Module, x_bchw: Tensor) -> Tensor:
    """What torchvision's network gives to its last linear layer; for SqueezeNet, its pooled features."""
    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if not linear:
        features: Any = network.get_submodule("features")
        pooled: Tensor = features(x_bchw).mean((2, 3))
        return pooled
    seen: list[Tensor] = []
    linear[-1].register_forward_pre_hook(lambda _layer, given: seen.append(given[0]))
    network(x_bchw)
    return seen[0]


def _embedding(built: Backbone, x_bchw: Tensor) -> Tensor:
    embedding: Tensor = built.module.eval()(x_bchw).flatten(1)
    return embedding


@pytest.mark.parametrize("arch", PAIRS)
def test_torchvision_weights_give_the_same_embedding(arch: str) -> None:
    network = _torchvision(PAIRS[arch])
    built = backbone(arch)
    load_matched(network.state_dict(), built, keys="torchvision", arch=arch, where="weights.pth")
    side = {"vgg11_bn": 224, "inception_v3": 96, "alexnet": 96}.get(
        arch, 64
    )  # smaller features reach VGG's 7×7 layer by another way
    x_bchw = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected, found = _before_last_layer(network, x_bchw), _embedding(built, x_bchw)
    assert float(expected.std()) > 1e-6
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5


def test_every_kind_of_same_order_is_proved() -> None:
    """Networks of one kind differ only in how often and how wide: one of each is run above, all are compared here."""

    def kind(name: str) -> str:
        return re.sub(r"(?<=vgg)\d+|(?<=efficientnet_b)\d|(?<=convnext_).*|_bn$", "", name)

    assert {kind(name) for name in SAME_ORDER} == {kind(name) for name in PAIRS if name in SAME_ORDER}


@pytest.mark.parametrize("arch", SAME_ORDER)
def test_same_order_means_same_roles_and_shapes(arch: str) -> None:
    built = backbone(arch, real=False)
    with torch.device("meta"):
        source = models.get_model(SAME_ORDER[arch], weights=None).state_dict()
    matched = match_names(source, built, keys="torchvision", arch=arch, where="x")
    target = {n: t for n, t in built.module.state_dict().items() if not n.endswith("num_batches_tracked")}
    assert matched.keys() == target.keys()
    assert all(matched[name].shape == tensor.shape for name, tensor in target.items())
    given = [n for n in source if not n.endswith("num_batches_tracked")]
    roles = {("gamma", "layer_scale")}
    for ours, theirs in zip(target, given, strict=False):
        pair = (ours.rpartition(".")[2], theirs.rpartition(".")[2])
        assert pair[0] == pair[1] or pair in roles


def test_order_of_the_file_does_not_matter() -> None:
    """safetensors sorts its tensors by name; many have the same shape, so a mix-up would go unnoticed."""
    source = _torchvision("mobilenet_v2").state_dict()
    backwards = dict(sorted(source.items(), reverse=True))
    first, second = backbone("mobilenetv2_100"), backbone("mobilenetv2_100")
    load_matched(source, first, keys="torchvision", arch="mobilenetv2_100", where="x")
    load_matched(backwards, second, keys="torchvision", arch="mobilenetv2_100", where="x")
    for name, tensor in first.module.state_dict().items():
        assert torch.equal(tensor, second.module.state_dict()[name])


def test_first_names_of_densenet() -> None:
    source = _torchvision("densenet121").state_dict()
    old = {
        name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2.") if "denselayer" in name else name: tensor
        for name, tensor in source.items()
    }
    assert old.keys() != source.keys()
    built = backbone("densenet121")
    load_matched(old, built, keys="torchvision", arch="densenet121", where="x")
    name = "features.denseblock2.denselayer3.norm1.weight"
    assert torch.equal(built.module.state_dict()[name], source[name])


def _refused(source: Mapping[str, Tensor], *, keys: Literal["timm", "torchvision"] = "timm") -> str:
    built = backbone("test_resnet")
    before = {name: tensor.clone() for name, tensor in built.module.state_dict().items()}
    with pytest.raises(BadWeights) as refusal:
        load_matched(source, built, keys=keys, arch="test_resnet", where="w.pth")
    assert all(torch.equal(tensor, before[name]) for name, tensor in built.module.state_dict().items())
    return str(refusal.value)


def test_nothing_is_loaded_in_part() -> None:
    source = dict(backbone("test_resnet").module.state_dict())
    names = [name for name in source if name.endswith("weight")]
    lacking = {name: tensor for name, tensor in source.items() if name != names[0]}
    assert _refused(lacking) == f"w.pth does not fit test_resnet: 1 missing: {names[0]}"
    assert "1 unused: extra.weight" in _refused({**source, "extra.weight": torch.zeros(1)})
    longer = {**source, names[0]: torch.zeros(*source[names[0]].shape[:-1], 9)}
    assert "1 of another shape" in _refused(longer)
    assert names[0] in _refused(longer)


def test_the_head_may_stay_unmatched() -> None:
    built = backbone("test_resnet")
    source = dict(built.module.state_dict())
    head = {f"{built.head_prefixes[0]}.weight": torch.zeros(10, 4), f"{built.head_prefixes[0]}.bias": torch.zeros(10)}
    load_matched({**source, **head}, built, keys="timm", arch="test_resnet", where="w.pth")


def test_step_counters_may_be_missing() -> None:
    built = backbone("test_resnet")
    source = {n: t for n, t in built.module.state_dict().items() if not n.endswith("num_batches_tracked")}
    assert len(source) < len(built.module.state_dict())
    load_matched(source, built, keys="timm", arch="test_resnet", where="w.pth")


def test_another_network_is_refused() -> None:
    with pytest.raises(BadWeights, match="does not fit mobilenetv2_100"):
        load_matched(
            _torchvision("mobilenet_v3_small").state_dict(),
            backbone("mobilenetv2_100"),
            keys="torchvision",
            arch="mobilenetv2_100",
            where="w.pth",
        )


def test_channels_as_a_table_and_the_same_numbers_elsewhere_are_told_apart() -> None:
    """[C] fits [C, 1, 1]; [2, 3] never fits [3, 2], though the numbers are as many."""
    source = dict(backbone("test_resnet").module.state_dict())
    name = next(name for name, tensor in source.items() if tensor.ndim == 4 and tensor.shape[0] != tensor.shape[1])
    assert "of another shape" in _refused({**source, name: source[name].transpose(0, 1)})
