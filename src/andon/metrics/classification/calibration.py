"""Are the probabilities to be believed? Bins of answers given with about the same probability."""

import math

import numpy as np
from numpy.typing import NDArray

from andon.metrics.classification.records import ReliabilityBin
from andon.metrics.intervals import Floats, Interval, around_biased, wilson

BINS = 10


def bin_sums(probability: Floats, right: Floats) -> Floats:
    """Per image, what its answers add to each bin: [N, 2·BINS], the sums of probability, then of `right`.

    Args:
        probability: of each answer [N, A]; one answer per image for single-label, one per class for multi-label.
        right: 1 where the answer was right (multi-label: where the image carries the class), else 0 [N, A].
    """
    sums = np.zeros((len(probability), 2 * BINS))
    chosen = bin_of(probability)
    rows = np.broadcast_to(np.arange(len(probability))[:, None], probability.shape)
    np.add.at(sums, (rows, chosen), probability)
    np.add.at(sums, (rows, chosen + BINS), right)
    return sums


def bin_of(probability: Floats) -> NDArray[np.int64]:
    """The bin of each probability: (0, 0.1], (0.1, 0.2], …; 0 itself is in the first."""
    return np.clip(np.ceil(probability * BINS).astype(np.int64) - 1, 0, BINS - 1)


def calibration_errors(sums: Floats, answers: int) -> Floats:
    """The expected calibration error of each row of summed `bin_sums` [R, 2·BINS]: [R]."""
    gaps: Floats = np.abs(sums[:, :BINS] - sums[:, BINS:])
    errors: Floats = gaps.sum(axis=1) / answers
    return errors


def calibration_interval(bins: tuple[ReliabilityBin, ...], resampled: Floats, images: int) -> Interval:
    """The expected calibration error that `bins` show, with its interval.

    The upper bound also takes each bin's Wilson bounds: ten right answers of ten given with 100 % are no proof of
    perfect calibration.

    Args:
        bins: from `reliability`.
        resampled: the error in each resample [R].
        images: how many images were resampled.
    """
    answers = sum(one.count for one in bins)
    error, slack = 0.0, 0.0
    for one in bins:
        if one.probability is None or one.right.value is None or one.right.low is None or one.right.high is None:
            continue
        gap = abs(one.probability - one.right.value)
        most = max(abs(one.probability - one.right.low), abs(one.probability - one.right.high))
        error += gap * one.count / answers
        slack += ((most - gap) * one.count / answers) ** 2
    return around_biased(error, resampled, images, min(1.0, error + math.sqrt(slack)))


def reliability(probability: Floats, right: Floats) -> tuple[ReliabilityBin, ...]:
    """The bins as they are drawn; arguments as in `bin_sums`."""
    chosen = bin_of(probability).ravel()
    counts = np.bincount(chosen, minlength=BINS)
    means = np.bincount(chosen, weights=probability.ravel(), minlength=BINS) / np.maximum(counts, 1)
    shares = np.bincount(chosen, weights=right.ravel(), minlength=BINS) / np.maximum(counts, 1)
    lows, highs = wilson(shares, counts.astype(np.float64))
    return tuple(
        ReliabilityBin(
            low=b / BINS,
            high=(b + 1) / BINS,
            count=int(counts[b]),
            probability=float(means[b]) if counts[b] else None,
            right=Interval(value=float(shares[b]), low=float(lows[b]), high=float(highs[b]))
            if counts[b]
            else Interval(value=None, reason="no answer had such a probability"),
        )
        for b in range(BINS)
    )
