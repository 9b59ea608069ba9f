"""Keeps dependencies from phoning home.

OpenVINO (and NNCF) import `openvino_telemetry` and send an event while they are imported; where that package cannot be
imported they fall back to a stub of their own that does nothing. onnxruntime has a switch.
"""

import sys

_TELEMETRY = "openvino_telemetry"


def silence_openvino() -> None:
    """To be called before the first import of `openvino` or `nncf`: their telemetry cannot be imported any more."""
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]  # None is how Python marks "cannot be imported"


def silence_onnxruntime() -> None:
    """Switches off onnxruntime's own events."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()
