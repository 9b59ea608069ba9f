"""onnxruntime on an NVIDIA GPU."""

from importlib import metadata

from andon.runtime.engines import Engine, Session, SessionOptions
from andon.runtime.engines.onnxruntime import OnnxruntimeSession

_DISTRIBUTION = "onnxruntime-gpu"

# TensorFloat-32 keeps ten bits of the mantissa: that is not f32.
_SETTINGS = {"use_tf32": "0"}


def _available() -> str | None:
    try:
        metadata.version(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return (
            "onnxruntime is installed without CUDA; on a machine with an NVIDIA GPU: "
            "pip uninstall onnxruntime && pip install onnxruntime-gpu"
        )
    return None


def _version() -> str:
    return metadata.version(_DISTRIBUTION)


def _open(model: bytes, options: SessionOptions) -> Session:
    return OnnxruntimeSession(model, options, provider=("CUDAExecutionProvider", _SETTINGS))


ENGINE = Engine(
    name="onnxruntime_cuda",
    title="onnxruntime (CUDA)",
    available=_available,
    version=_version,
    precisions=("f32",),
    open=_open,
)
