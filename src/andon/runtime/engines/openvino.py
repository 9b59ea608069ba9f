"""OpenVINO on the CPU."""

import threading
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import numpy as np

from andon.runtime.engines import Engine, Outputs, PixelsNHWC, SessionOptions
from andon.runtime.lanes import Lanes
from andon.runtime.silence import silence_openvino

# What the CPU may compute in. Without a hint OpenVINO takes bf16 by itself where the CPU has it, which moves
# probabilities by up to 0.04. An int8 graph carries its own quantisation; the rest of it stays f32.
_HINTS = {"f32": "f32", "bf16": "bf16", "int8": "f32"}


# OpenVINO 2026.4's Python binding sets itself up at the first use of a tensor, and stands still for ever when two
# threads come to that point together. So sessions are made one at a time, and each is used before it is shared.
_ONE_AT_A_TIME = threading.Lock()


class OpenvinoSession:
    """One compiled graph, shared by as many infer requests as there are lanes, each with a stream of its own."""

    def __init__(self, model: bytes, options: SessionOptions) -> None:
        silence_openvino()
        with _ONE_AT_A_TIME:
            compiled = _compiled(model, options)
            requests = [compiled.create_infer_request() for _ in range(options.lanes)]
            self._outputs: list[str] = [output.get_any_name() for output in compiled.outputs]
            self._lanes: Lanes[Any] = Lanes(requests)
            shape = [1 if side.is_dynamic else side.get_length() for side in compiled.input(0).partial_shape]
            for request in requests:
                self._infer(request, np.zeros(shape, np.uint8))

    def run(self, batch_nhwc: PixelsNHWC) -> Outputs:
        """See `Session.run`; copied out of the request's memory before the next caller gets it."""
        with self._lanes.borrow() as request:
            return self._infer(request, batch_nhwc)

    def _infer(self, request: Any, batch_nhwc: PixelsNHWC) -> Outputs:  # noqa: ANN401 - OpenVINO has no types
        request.infer({0: batch_nhwc})
        return {name: request.get_output_tensor(i).data.copy() for i, name in enumerate(self._outputs)}

    def close(self) -> None:
        """See `Session.close`."""
        self._lanes.close()


def _compiled(model: bytes, options: SessionOptions) -> Any:  # noqa: ANN401 - OpenVINO has no types
    import openvino

    core = openvino.Core()
    return core.compile_model(
        core.read_model(model),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": _HINTS[options.precision],
            "NUM_STREAMS": options.lanes,
            "INFERENCE_NUM_THREADS": options.lanes * options.threads,
            # Two processes pinned to the same cores halve each other.
            "ENABLE_CPU_PINNING": False,
        },
    )


def _available() -> str | None:
    if find_spec("openvino") is None:
        return "OpenVINO is not installed; install it with: pip install openvino"
    return None


def _version() -> str:
    try:
        return metadata.version("openvino")
    except metadata.PackageNotFoundError:  # a build without the wheel's metadata
        silence_openvino()
        import openvino

        return str(openvino.__version__)


ENGINE = Engine(
    name="openvino",
    title="OpenVINO (CPU)",
    available=_available,
    version=_version,
    precisions=("f32", "bf16", "int8"),
    open=OpenvinoSession,
)
