"""From logits to an answer: softmax or sigmoid, temperature and thresholds happen here and nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from andon.core.manifest import Decision


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassScore:
    """A class and its probability in 0..1."""

    label: str
    probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a classifier says of one image.

    Attributes:
        ranking: every class, most probable first; equal probabilities in the order of the model's classes.
        passed: the classes whose probability reaches their threshold: at most the top one for single-label.
        finding: a passed class is not a declared good class.
        not_sure: no class passes, or (single-label) the two leading ones lie within the margin.
    """

    ranking: tuple[ClassScore, ...]
    passed: tuple[str, ...]
    finding: bool
    not_sure: bool


def probabilities(
    logits_nc: NDArray[np.float32], *, multi_label: bool, temperature: float = 1.0
) -> NDArray[np.float32]:
    """Softmax over the classes, or a sigmoid for each when `multi_label`, of logits [N, C] divided by `temperature`."""
    scaled = logits_nc.astype(np.float64) / temperature
    if multi_label:
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * scaled)), np.float32)  # this form of a sigmoid cannot overflow
    shifted = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)


def decode(
    probabilities_c: NDArray[np.float32],
    classes: Sequence[str],
    decision: Decision,
    *,
    multi_label: bool,
    min_score: float | None = None,
) -> Answer:
    """The answer for one image.

    Args:
        probabilities_c: probabilities [C] as `probabilities` gives them.
        classes: names in the order of the last axis.
        decision: thresholds, margin and good classes of the bundle.
        multi_label: see `probabilities`.
        min_score: takes the place of every threshold for this one answer.
    """
    order = np.argsort(-probabilities_c, kind="stable")
    ranking = tuple(ClassScore(label=classes[i], probability=float(probabilities_c[i])) for i in order)

    def passes(score: ClassScore) -> bool:
        threshold = decision.thresholds.get(score.label, decision.default_threshold) if min_score is None else min_score
        return score.probability >= threshold

    candidates = ranking if multi_label else ranking[:1]
    passed = tuple(score.label for score in candidates if passes(score))
    too_close = (
        not multi_label
        and len(ranking) > 1
        and ranking[0].probability - ranking[1].probability < decision.not_sure_margin
    )
    not_sure = not passed or too_close
    finding = not too_close and any(label not in decision.good_classes for label in passed)
    return Answer(ranking=ranking, passed=passed, finding=finding, not_sure=not_sure)
