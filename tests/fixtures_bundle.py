"""A real bundle made without torch: a graph by hand, its numbers by numpy, packaged by the product's own writer."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from andon.core.image import InputSpec, PixelsHWC, prepare_image
from andon.core.manifest import SCHEMA, DatasetStamp, Decision, Manifest, ModelFile, Normalisation, WeightsStamp
from andon.export.bundle_writer import BundleContent, write_bundle
from andon.runtime.bundle import GoldenImage

CLASSES = ("red", "green", "blue")
SIZE_WH = (32, 24)  # not square, so that width and height cannot be taken for one another
MEAN = np.array([0.5, 0.5, 0.5], np.float32)
STD = np.array([0.5, 0.5, 0.5], np.float32)


def _ramp() -> NDArray[np.float32]:
    width, height = SIZE_WH
    across = np.linspace(1.9, 0.1, width, dtype=np.float32)
    down = np.linspace(1.5, 0.5, height, dtype=np.float32)
    return np.outer(down, across).astype(np.float32)


def _blur() -> NDArray[np.float32]:
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    kernel[range(3), range(3)] = 1 / 9
    return kernel


@dataclass(frozen=True, kw_only=True)
class TinyNet:
    """Answers the strongest colour, the left upper corner counting most, so that turning an image can change it.

    cast → (x/255 − mean)/std → NCHW → × ramp → 3×3 convolution → global mean → Gemm.
    """

    ramp_hw: NDArray[np.float32] = field(default_factory=_ramp)
    kernel: NDArray[np.float32] = field(default_factory=_blur)
    weight: NDArray[np.float32] = field(default_factory=lambda: np.eye(3, dtype=np.float32) * 4)
    bias: NDArray[np.float32] = field(default_factory=lambda: np.array([0.02, 0.0, -0.02], np.float32))

    def logits(self, batch_nhwc: PixelsHWC) -> NDArray[np.float32]:
        """What the graph computes, by numpy."""
        x = ((batch_nhwc.astype(np.float32) / 255 - MEAN) / STD).transpose(0, 3, 1, 2) * self.ramp_hw
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
        features = np.einsum("nchwij,ocij->nohw", windows, self.kernel).mean(axis=(2, 3))
        logits: NDArray[np.float32] = (features @ self.weight.T + self.bias).astype(np.float32)
        return logits

    def onnx(self) -> bytes:
        """The graph: uint8 [N, H, W, 3] in, logits [N, 3] out, N open."""
        width, height = SIZE_WH
        constants = {
            "scale": np.array(255, np.float32),
            "mean": MEAN,
            "std": STD,
            "ramp": self.ramp_hw,
            "kernel": self.kernel,
            "weight": self.weight,
            "bias": self.bias,
        }
        nodes = [
            helper.make_node("Cast", ["image"], ["cast"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["cast", "scale"], ["scaled"]),
            helper.make_node("Sub", ["scaled", "mean"], ["centred"]),
            helper.make_node("Div", ["centred", "std"], ["normal"]),
            helper.make_node("Transpose", ["normal"], ["nchw"], perm=[0, 3, 1, 2]),
            helper.make_node("Mul", ["nchw", "ramp"], ["weighted"]),
            helper.make_node("Conv", ["weighted", "kernel"], ["blurred"], kernel_shape=[3, 3]),
            helper.make_node("GlobalAveragePool", ["blurred"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["features"]),
            helper.make_node("Gemm", ["features", "weight", "bias"], ["logits"], transB=1),
        ]
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", height, width, 3])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(CLASSES)])],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


def tiny_manifest(**changes: object) -> Manifest:
    """The manifest of the tiny bundle, some fields changed."""
    fields: dict[str, object] = {
        "schema": SCHEMA,
        "name": "tiny",
        "version": "1",
        "task": "classification",
        "arch": "by-hand",
        "classes": CLASSES,
        "multi_label": False,
        "input": InputSpec(size_wh=SIZE_WH),
        "normalisation": Normalisation(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        "outputs": ("logits",),
        "decision": Decision(),
        "models": {"f32": ModelFile(file="model.onnx", max_difference=0.0, parity_images=3, tolerance=1e-3)},
        "dataset": DatasetStamp(name="colours", hash="0" * 64, split_hash="0" * 64, images={"train": 9, "val": 3}),
        "weights": WeightsStamp(source="none", licence="none"),
        "run": {"seed": 0},
        "libraries": {"numpy": np.__version__},
        "created": "2026-11-20T00:00:00Z",
    }
    return Manifest(**(fields | changes))  # type: ignore[arg-type]


def photo_bytes(rgb: tuple[int, int, int], *, size_wh: tuple[int, int] = (96, 72), kind: str = "JPEG") -> bytes:
    """An image of one colour with some texture, the same bytes every time."""
    rng = np.random.default_rng(sum(rgb))
    noise = rng.integers(-20, 21, (size_wh[1], size_wh[0], 3))
    pixels = np.clip(np.array(rgb) + noise, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, quality=90)
    return out.getvalue()


COLOURS: Mapping[str, tuple[int, int, int]] = {"red": (220, 40, 30), "green": (30, 200, 50), "blue": (40, 30, 210)}


def tiny_golden(net: TinyNet, spec: InputSpec) -> tuple[GoldenImage, ...]:
    """A golden photo of each class and one of no colour, where the model is in doubt and so every error shows."""
    photos = {f"{name}/초록 {name}.jpg": photo_bytes(rgb) for name, rgb in COLOURS.items()}
    photos["grey.png"] = photo_bytes((128, 128, 128), kind="PNG")
    return tuple(
        GoldenImage(
            name=name,
            data=data,
            outputs=tuple(float(v) for v in net.logits(prepare_image(data, spec)[np.newaxis])[0]),
        )
        for name, data in photos.items()
    )


def tiny_content(net: TinyNet | None = None, **changes: object) -> BundleContent:
    """What `write_bundle` takes, for the tiny net or another one; `changes` are fields of the manifest."""
    net = net or TinyNet()
    manifest = tiny_manifest(**changes)
    return BundleContent(
        manifest=manifest,
        models=dict.fromkeys(manifest.models, net.onnx()),
        metrics={"accuracy": {"value": 1.0, "low": 0.9, "high": 1.0}},
        golden=tiny_golden(net, manifest.input),
        licences={"code": "Apache-2.0", "weights": "none"},
    )


def write_tiny_bundle(folder: Path, **changes: object) -> Path:
    """Writes the tiny bundle into `folder`."""
    path = folder / "tiny-1.andon"
    write_bundle(path, tiny_content(None, **changes))
    return path
