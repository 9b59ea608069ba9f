"""`python -m andon.cli.trial engine NAME` and `… torch`: tries one thing and prints what came of it as JSON."""

import base64
import json
import sys

import numpy as np

# uint8 [N, 1, 1, 3] → Cast → float32, opset 13: the smallest graph that an engine can execute.
_GRAPH = base64.b64decode(
    "CAg6WAoXCgF4EgF5IgRDYXN0KgkKAnRvGAGgAQISAXRaHAoBeBIXChUIAhIRCgMSAU4KAggBCgIIAQoCCANiHAoBeRIXChUIARIRCgMSAU4KAggB"
    "CgIIAQoCCANCBAoAEA0="
)


def try_engine(name: str) -> dict[str, object]:
    """Has an engine execute the smallest graph."""
    from andon.runtime.engines import ENGINES, SessionOptions

    pixels = np.array([[[[0, 7, 255]]]], np.uint8)
    session = ENGINES.get(name).open(_GRAPH, SessionOptions())
    found = session.run(pixels)["y"]
    session.close()
    if not np.array_equal(found, pixels):
        return {"ok": False, "error": f"it computes {found.ravel().tolist()} where {pixels.ravel().tolist()} is right"}
    return {"ok": True}


def try_torch() -> dict[str, object]:
    """Imports torch and torchvision, and asks for GPUs."""
    from importlib import import_module

    torch, torchvision = import_module("torch"), import_module("torchvision")
    # A torchvision of another build than torch imports well and has no operators.
    torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        gpus.append("the Apple GPU (mps)")
    return {
        "ok": True,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "cuda": torch.version.cuda,
        "gpus": gpus,
    }


def main(arguments: list[str]) -> None:
    """Prints the outcome; an exception is an outcome too."""
    try:
        outcome = try_engine(arguments[1]) if arguments[0] == "engine" else try_torch()
    except Exception as error:  # noqa: BLE001 - whatever is broken there is what the doctor wants to know
        outcome = {"ok": False, "error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(outcome) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
