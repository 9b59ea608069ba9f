from itertools import pairwise

import numpy as np
import onnxruntime
import pytest
import torch
from tests.models.networks import backbone, classifier

from andon.errors import BadConfig
from andon.export.onnx_graph import export_onnx
from andon.models.archs import ARCHS, find_arch
from andon.models.classifier import find_taps
from andon.models.stages import Layers, freeze, frozen_modules

LAYERS: tuple[Layers, ...] = ("heads", "5+", "4+", "3+", "all")

# Of timm's thousand: plain and residual convolutions, transformers with and without a pyramid, and those whose lists
# of features name modules that are called otherwise.
OF_TIMM = (
    *("inception_v4", "vgg16", "mobilenetv2_100", "vit_tiny_patch16_224", "resnet18", "densenet121", "efficientnet_b0"),
    *("convnext_atto", "swin_tiny_patch4_window7_224", "mvitv2_tiny", "twins_svt_small", "hrnet_w18_small"),
    *("test_resnet", "test_vit", "test_efficientnet"),
)
OTHERS = tuple(name for family in ARCHS.names() if family != "timm_networks" for name in ARCHS.get(family).names())


@pytest.mark.parametrize("name", [*OF_TIMM, *OTHERS])
def test_stages_name_modules_in_order(name: str) -> None:
    built = backbone(name, real=False)
    modules = dict(built.module.named_modules())
    assert built.stages
    assert all(stage.module in modules for stage in built.stages)
    strides = [stage.stride for stage in built.stages]
    assert strides == sorted(strides)


@pytest.mark.parametrize("name", [*OF_TIMM, *OTHERS])
def test_layers_are_nested_and_grow(name: str) -> None:
    model = classifier(name, real=False)
    trained: list[set[str]] = []
    for layers in LAYERS:
        count = freeze(model, layers)
        trained.append({n for n, parameter in model.named_parameters() if parameter.requires_grad})
        assert count == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained[0] == {"head.weight", "head.bias"}
    assert trained[-1] == {n for n, _ in model.named_parameters()}
    assert all(fewer <= more for fewer, more in pairwise(trained))
    assert trained[0] < trained[1] < trained[3] < trained[4]  # a network of stride 16 at most has the same 5+ and 4+
    freeze(model, "heads")
    assert len(frozen_modules(model)) == sum(
        bool(list(module.parameters(recurse=False))) for module in model.backbone.modules()
    )


@pytest.mark.parametrize("name", [*OF_TIMM, *OTHERS])
def test_embedding_has_the_size_it_says(name: str) -> None:
    built = backbone(name, real=False)
    width, height = built.size_wh
    with torch.device("meta"):
        embedding = built.module.eval()(torch.zeros(2, 3, height, width))
    assert embedding.flatten(1).shape == (2, built.embedding_size)


def test_transformers_are_cut_in_quarters() -> None:
    model = classifier("vit_tiny_patch16_224", real=False)
    cuts: dict[Layers, int] = {"5+": 9, "4+": 6, "3+": 3}
    for layers, first in cuts.items():
        freeze(model, layers)
        trained = {n.split(".")[2] for n, p in model.named_parameters() if p.requires_grad and ".blocks." in n}
        assert trained == {str(block) for block in range(first, 12)}
    assert not model.backbone.get_parameter("pos_embed").requires_grad


def test_layers_follow_the_stride() -> None:
    model = classifier("mobilenetv2_100", real=False)
    freeze(model, "5+")
    trained = {n.split(".")[2] for n, p in model.named_parameters() if p.requires_grad and ".blocks." in n}
    assert trained == {"5", "6"}  # the first block of stride 32 and everything after it
    assert model.backbone.get_submodule("conv_head").weight.requires_grad


@pytest.mark.parametrize(
    ("name", "size_wh"),
    [
        ("inception_v4", (96, 80)),
        ("vgg16", (64, 48)),  # its 7×7 layer meets other sizes after pooling that divides nothing evenly
        ("mobilenetv2_100", (64, 96)),
        ("vit_tiny_patch16_224", (64, 96)),  # another size than its own: the position table is built for it
        ("alexnet", (96, 128)),
        ("shufflenet_v2_x0_5", (64, 64)),
    ],
)
def test_export_answers_like_torch(name: str, size_wh: tuple[int, int]) -> None:
    model = classifier(name, size_wh)
    width, height = size_wh
    pixels = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = model(torch.from_numpy(pixels)).numpy()
    graph = export_onnx(model, size_wh, ["logits"])
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = (
        onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    )  # it takes longer than the run
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    assert expected.shape == (3, 3)
    scale = float(np.abs(expected).max())
    for rows in (slice(0, 1), slice(0, 3)):  # any number of images at once
        (found,) = session.run(None, {"pixels": pixels[rows]})
        np.testing.assert_allclose(found / scale, expected[rows] / scale, atol=1e-4)


def test_taps_are_only_where_features_come_out() -> None:
    assert [tap.stride for tap in find_taps(backbone("test_resnet"), (8, 16), (64, 64))] == [8, 16]
    assert [tap.stride for tap in find_taps(backbone("test_vit", (160, 160)), (16,), (160, 160))] == [16]
    assert find_taps(backbone("test_resnet"), (7,), (64, 64)) == ()
    # HRNet's later stages give several tensors at once, CoaT's stages are never called as modules.
    assert [tap.stride for tap in find_taps(backbone("hrnet_w18_small"), (2, 32), (64, 64))] == [2]


def test_looking_for_taps_leaves_the_network_as_it_was() -> None:
    built = backbone("test_resnet")
    before = {name: tensor.clone() for name, tensor in built.module.state_dict().items()}
    find_taps(built, (16,), (64, 64))
    assert built.module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in built.module.state_dict().items())
    assert not any(module._forward_hooks for module in built.module.modules())


def test_wrong_name_offers_the_nearest() -> None:
    with pytest.raises(BadConfig, match=r"no arch named 'mobilnetv2_100'.*mobilenetv2_100"):
        find_arch("mobilnetv2_100")


def test_every_name_belongs_to_one_family_that_is_found() -> None:
    for name in OTHERS:
        assert name in find_arch(name).names()
    assert "resnet50" in find_arch("resnet50").names()
