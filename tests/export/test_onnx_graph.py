import itertools

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from andon.export.onnx_graph import INPUT, export_onnx


class _Pooled(nn.Module):
    """Pixels averaged to a given size."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(size_hw)

    def forward(self, pixels_bhwc: Tensor) -> Tensor:
        pooled: Tensor = self.pool(pixels_bhwc.permute(0, 3, 1, 2).float())
        return pooled


@pytest.mark.parametrize(("have", "want"), list(itertools.product([(5, 7), (6, 8), (2, 1)], [(1, 1), (3, 4), (7, 7)])))
def test_average_to_any_size(have: tuple[int, int], want: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, *have, 3), dtype=np.uint8)
    model = _Pooled(want)
    graph = export_onnx(model, (have[1], have[0]), ["pooled"])
    (found,) = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, {INPUT: pixels})
    np.testing.assert_allclose(found, model(torch.from_numpy(pixels)).numpy(), rtol=1e-5)


def test_takes_any_number_of_uint8_images_and_names_its_outputs() -> None:
    graph = onnx.load_from_string(export_onnx(_Pooled((1, 1)), (8, 4), ["pooled"]))
    onnx.checker.check_model(graph)
    (given,) = graph.graph.input
    axes = given.type.tensor_type.shape.dim
    assert given.name == INPUT
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert axes[0].dim_param
    assert [axis.dim_value for axis in axes[1:]] == [4, 8, 3]
    assert [output.name for output in graph.graph.output] == ["pooled"]


def test_same_module_same_bytes() -> None:
    first, second = (export_onnx(_Pooled((3, 3)), (8, 4), ["pooled"]) for _ in range(2))
    assert first == second
