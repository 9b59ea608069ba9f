"""onnxruntime on the CPU."""

from importlib import metadata
from importlib.util import find_spec
from typing import Any

from andon.runtime.engines import Engine, Outputs, PixelsNHWC, Session, SessionOptions
from andon.runtime.lanes import Lanes
from andon.runtime.silence import silence_onnxruntime

_ERRORS_ONLY = 3


class OnnxruntimeSession:
    """One onnxruntime session; it may be run by several threads at once, each then working in its own thread.

    Args:
        model: the graph's bytes.
        options: lanes and threads.
        provider: onnxruntime's execution provider, with its settings.

    Raises:
        RuntimeError: onnxruntime quietly fell back to another provider.
    """

    def __init__(self, model: bytes, options: SessionOptions, *, provider: tuple[str, dict[str, str]]) -> None:
        silence_onnxruntime()
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.inter_op_num_threads = 1
        settings.log_severity_level = _ERRORS_ONLY
        # Threads that spin while they wait take the CPU from the next image's decoding.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        settings.add_session_config_entry("session.inter_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(model, settings, providers=[provider])
        if session.get_providers()[0] != provider[0]:
            raise RuntimeError(f"onnxruntime cannot use its {provider[0]} here")
        self._input: str = session.get_inputs()[0].name
        self._outputs: list[str] = [output.name for output in session.get_outputs()]
        self._lanes: Lanes[Any] = Lanes([session] * options.lanes)

    def run(self, batch_nhwc: PixelsNHWC) -> Outputs:
        """See `Session.run`; onnxruntime gives arrays of their own."""
        with self._lanes.borrow() as session:
            values = session.run(self._outputs, {self._input: batch_nhwc})
        return dict(zip(self._outputs, values, strict=True))

    def close(self) -> None:
        """See `Session.close`."""
        self._lanes.close()


def _available() -> str | None:
    if find_spec("onnxruntime") is None:
        return "onnxruntime is not installed; install it with: pip install onnxruntime"
    return None


def _version() -> str:
    try:
        return metadata.version("onnxruntime")
    except metadata.PackageNotFoundError:  # another build of it, such as onnxruntime-gpu
        silence_onnxruntime()
        import onnxruntime

        return str(onnxruntime.__version__)


def _open(model: bytes, options: SessionOptions) -> Session:
    return OnnxruntimeSession(model, options, provider=("CPUExecutionProvider", {}))


ENGINE = Engine(
    name="onnxruntime",
    title="onnxruntime (CPU)",
    available=_available,
    version=_version,
    precisions=("f32", "int8"),
    open=_open,
)
