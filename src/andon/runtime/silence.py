"""Keeps dependencies from phoning home.

OpenVINO (and NNCF) import `openvino_telemetry` and send an event while they are imported; where that package cannot be
imported they fall back to a stub of their own that does nothing. onnxruntime opens a store of events (a database in the
user's cache, `.ses` in the temporary folder) as soon as its library is loaded, unless an environment variable says
not to; the switch of its Python interface comes too late for that.
"""

import os
import sys

_TELEMETRY = "openvino_telemetry"


def silence_openvino() -> None:
    """To be called before the first import of `openvino` or `nncf`: their telemetry cannot be imported any more."""
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]  # None is how Python marks "cannot be imported"


def silence_onnxruntime() -> None:
    """To be called before the first import of `onnxruntime`: no store of events is opened, none is sent."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    onnxruntime.disable_telemetry_events()
