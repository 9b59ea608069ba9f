"""OpenVINO on the CPU."""

from importlib.util import find_spec
from typing import Any

from andon.runtime.engines import Engine, Outputs, PixelsNHWC, SessionOptions, installed_version
from andon.runtime.lanes import Lanes
from andon.runtime.silence import silence_openvino

# What the CPU may compute in. Without a hint OpenVINO takes bf16 by itself where the CPU has it, which moves
# probabilities by up to 0.04. An int8 graph carries its own quantisation; the rest of it stays f32.
_HINTS = {"f32": "f32", "bf16": "bf16", "int8": "f32"}


class OpenvinoSession:
    """One compiled graph, shared by as many infer requests as there are lanes, each with a stream of its own."""

    def __init__(self, model: bytes, options: SessionOptions) -> None:
        silence_openvino()
        import openvino

        core = openvino.Core()
        compiled = core.compile_model(
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
        self._outputs: list[str] = [output.get_any_name() for output in compiled.outputs]
        self._lanes: Lanes[Any] = Lanes([compiled.create_infer_request() for _ in range(options.lanes)])

    def run(self, batch_nhwc: PixelsNHWC) -> Outputs:
        """See `Session.run`; copied out of the request's memory before the next caller gets it."""
        with self._lanes.borrow() as request:
            request.infer({0: batch_nhwc})
            return {name: request.get_output_tensor(i).data.copy() for i, name in enumerate(self._outputs)}

    def close(self) -> None:
        """See `Session.close`."""
        self._lanes.close()


def _available() -> str | None:
    if find_spec("openvino") is None:
        return "OpenVINO is not installed; install it with: pip install openvino"
    return None


def _version() -> str:
    silence_openvino()
    return installed_version("openvino")


ENGINE = Engine(
    name="openvino",
    title="OpenVINO (CPU)",
    available=_available,
    version=_version,
    precisions=("f32", "bf16", "int8"),
    open=OpenvinoSession,
)
