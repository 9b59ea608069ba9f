"""The golden self-check: does this engine, on this machine, answer as training did?"""

import numpy as np
from numpy.typing import NDArray

from andon.core.image import PixelsHWC, prepare_image
from andon.errors import BadBundle
from andon.runtime.bundle import Bundle
from andon.runtime.engines import Session
from andon.tasks.classification import probabilities

TOLERANCE_F32 = 1e-3


def golden_batch(bundle: Bundle) -> PixelsHWC:
    """The bundle's golden images as the graph's input: uint8 [G, H, W, 3]."""
    return np.stack([prepare_image(image.data, bundle.manifest.input) for image in bundle.golden])


def tolerance_of(bundle: Bundle, precision: str) -> float:
    """The largest difference of probability that is let pass: 1e-3 for f32, what the gate allowed for the others."""
    return TOLERANCE_F32 if precision == "f32" else bundle.manifest.models[precision].tolerance


def self_check(bundle: Bundle, session: Session, *, precision: str = "f32") -> float:
    """Runs the golden images through `session`, one at a time as serving does, and all at once.

    Returns:
        The largest absolute difference of probability from what training gave.

    Raises:
        BadBundle: the difference is above the tolerance, or the outputs are not what the manifest says.
    """
    batch = golden_batch(bundle)
    expected = _probabilities(bundle, np.array([image.outputs for image in bundle.golden], np.float32))
    one_by_one = np.concatenate([logits_of(bundle, session, batch[i : i + 1]) for i in range(len(batch))])
    difference = _difference(_probabilities(bundle, one_by_one), expected)
    if len(batch) > 1:
        together = _probabilities(bundle, logits_of(bundle, session, batch))
        difference = max(difference, _difference(together, expected))
    tolerance = tolerance_of(bundle, precision)
    if not difference <= tolerance:  # also where it is not a number
        raise BadBundle(
            f"{bundle.path} is refused: its self-check on this machine differs from training by {difference:.2g} "
            f"in probability over {len(batch)} golden images; at most {tolerance:g} is accepted"
        )
    return difference


def logits_of(bundle: Bundle, session: Session, batch_nhwc: PixelsHWC) -> NDArray[np.float32]:
    """The classification logits [N, C] of a batch.

    Raises:
        BadBundle: the graph does not have the output that the manifest names, or not of that shape.
    """
    name = bundle.manifest.outputs[0]
    outputs = session.run(batch_nhwc)
    if name not in outputs:
        raise BadBundle(f"{bundle.path} is refused: the graph gives {', '.join(outputs)}, not the output {name!r}")
    logits = outputs[name]
    wanted = (len(batch_nhwc), len(bundle.manifest.classes))
    if logits.shape != wanted:
        raise BadBundle(f"{bundle.path} is refused: the graph's {name} has the shape {logits.shape}, expected {wanted}")
    return logits


def _probabilities(bundle: Bundle, logits_nc: NDArray[np.float32]) -> NDArray[np.float32]:
    manifest = bundle.manifest
    return probabilities(logits_nc, multi_label=manifest.multi_label, temperature=manifest.decision.temperature)


def _difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(found.astype(np.float64) - expected).max())
