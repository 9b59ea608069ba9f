"""Do the intervals hold the true figure about as often as they claim? Many small experiments with known truth."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from andon.metrics.classification import ClassificationMetrics, Interval, classification_metrics

EXPERIMENTS = 400
CLASSES = ("a", "b", "c")

# P(answer | true class), rows; the classes come with these shares.
CONFUSION = np.array([[0.9, 0.07, 0.03], [0.1, 0.8, 0.1], [0.02, 0.03, 0.95]])
SHARES = np.array([0.5, 0.3, 0.2])


def true_figures() -> dict[str, float]:
    joint = SHARES[:, None] * CONFUSION
    f1 = 2 * np.diag(joint) / (joint.sum(axis=1) + joint.sum(axis=0))
    return {
        "accuracy": float(np.trace(joint)),
        "balanced_accuracy": float(np.diag(CONFUSION).mean()),
        "macro_f1": float(f1.mean()),
        "recall": float(CONFUSION[1, 1]),
        "precision": float(joint[0, 0] / joint[:, 0].sum()),
        "f1": float(f1[2]),
    }


FIGURES: dict[str, Callable[[ClassificationMetrics], Interval]] = {
    "accuracy": lambda found: found.accuracy,
    "balanced_accuracy": lambda found: found.balanced_accuracy,
    "macro_f1": lambda found: found.macro_f1,
    "recall": lambda found: found.per_class[1].recall,
    "precision": lambda found: found.per_class[0].precision,
    "f1": lambda found: found.per_class[2].f1,
}


def experiment(rng: np.random.Generator, images: int) -> ClassificationMetrics:
    true = rng.choice(3, images, p=SHARES)
    answered = np.array([rng.choice(3, p=CONFUSION[t]) for t in true])
    probabilities: NDArray[np.float32] = np.eye(3, dtype=np.float32)[answered] * np.float32(0.7) + np.float32(0.1)
    return classification_metrics(true, probabilities, CLASSES, multi_label=False, seed=1, resamples=200)


@pytest.mark.parametrize("images", [60, 200])
def test_intervals_hold_the_truth_19_times_in_20(images: int) -> None:
    rng = np.random.default_rng(images)
    truth = true_figures()
    held = dict.fromkeys(truth, 0)
    counted = dict.fromkeys(truth, 0)
    for _ in range(EXPERIMENTS):
        found = experiment(rng, images)
        for name, pick in FIGURES.items():
            figure = pick(found)
            if figure.low is None or figure.high is None:
                continue
            counted[name] += 1
            held[name] += figure.low <= truth[name] <= figure.high
    for name in truth:
        coverage = held[name] / counted[name]
        assert 0.90 <= coverage <= 0.99, f"{name}: {coverage:.3f} of {counted[name]} intervals hold the truth"


def test_the_loss_interval_holds_the_truth_too() -> None:
    rng = np.random.default_rng(9)
    held = 0
    for _ in range(EXPERIMENTS):
        right = rng.beta(4, 1, 60)  # mean negative log: the integral of -log p, 1/4 for beta(4, 1)
        probabilities = np.stack([right, 1 - right], axis=1).astype(np.float32)
        found = classification_metrics(
            np.zeros(60, np.int64), probabilities, ("a", "b"), multi_label=False, resamples=200
        )
        assert found.nll.low is not None
        assert found.nll.high is not None
        held += found.nll.low <= 0.25 <= found.nll.high
    assert 0.90 <= held / EXPERIMENTS <= 0.99
