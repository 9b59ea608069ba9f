"""Any number of classes per image: each class is a yes or no of its own, resampled together image by image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from andon.metrics.classification.calibration import bin_sums, calibration_errors, calibration_interval, reliability
from andon.metrics.classification.records import ClassificationMetrics, ClassMetrics
from andon.metrics.classification.single_label import NEVER_ANSWERED, NEVER_SEEN
from andon.metrics.intervals import (
    Floats,
    Interval,
    around,
    f1_bounds,
    mean_of,
    resampled_counts,
    share_bounds,
)

_TINIEST = np.finfo(np.float64).eps
_MEANS = 3
_KEYS = 16  # classes that are enough to tell images apart


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Shares:
    """Figures of each class [R, C] and over all [R], one row per resample; NaN where one is not defined."""

    rows: Floats
    columns: Floats
    hits: Floats
    recall: Floats
    precision: Floats
    f1: Floats
    balanced: Floats
    macro_f1: Floats
    micro_f1: Floats


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Ranking:
    """One class's images by falling probability, cut after each group of equals that holds an image of the class.

    Attributes:
        order: the images, most probable first, up to the last cut [n].
        starts: where each piece begins in `order` [P].
        carries: 1 for images that carry the class, in `order` [n].
    """

    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    carries: NDArray[np.float32]


def multi_label_metrics(
    true_nc: Floats,
    probabilities_nc: Floats,
    classes: tuple[str, ...],
    thresholds_c: Floats,
    *,
    seed: int,
    resamples: int,
) -> ClassificationMetrics:
    """Measures answers of any number of classes per image: those whose probability reaches their threshold."""
    # By their probabilities, so that resampling does not depend on the order images came in.
    order = np.lexsort((*true_nc.T[:_KEYS], *probabilities_nc.T[:_KEYS]))
    true_nc, probabilities_nc = true_nc[order], probabilities_nc[order]
    answered_nc = (probabilities_nc >= thresholds_c).astype(np.float64)
    images, num_classes = true_nc.shape
    features = _features(true_nc, answered_nc, probabilities_nc)
    rankings = [_ranking(true_nc[:, c], probabilities_nc[:, c]) for c in range(num_classes)]
    sums, precision_drawn = _drawn(features, rankings, seed=seed, resamples=resamples)
    total = features.sum(axis=0, keepdims=True)
    real, drawn = _shares(total, images, num_classes), _shares(sums, images, num_classes)
    once = np.ones((1, images), np.float32)
    precision_real = np.stack([_average_precision(once, ranking) for ranking in rankings], axis=1)

    def mean(column: int, *, share: bool = False) -> Interval:
        value = float(total[0, column]) / images
        return around(value, sums[:, column] / images, images, share_bounds(value, images) if share else None)

    per_class = tuple(
        _one_class(real, drawn, c, name, (precision_real[0, c], precision_drawn[:, c], images))
        for c, name in enumerate(classes)
    )
    bins = reliability(probabilities_nc, true_nc)
    errors_drawn = calibration_errors(sums[:, _MEANS + 3 * num_classes :], images * num_classes)
    return ClassificationMetrics(
        images=images,
        classes=classes,
        multi_label=True,
        top_k=0,
        accuracy=mean(0, share=True),
        balanced_accuracy=_balanced(real, drawn, images),
        macro_f1=_mean([one.f1 for one in per_class], drawn.macro_f1, images),
        top5=Interval(value=None, reason="an image may carry several classes, so there is no first five to be among"),
        nll=mean(1),
        brier=mean(2),
        ece=calibration_interval(bins, errors_drawn, images),
        micro_f1=_micro(real, drawn, images),
        mean_average_precision=_mean([one.average_precision for one in per_class], _row_means(precision_drawn), images),
        per_class=per_class,
        reliability=bins,
        seed=seed,
        resamples=resamples,
    )


def _features(true_nc: Floats, answered_nc: Floats, probabilities_nc: Floats) -> Floats:
    """What each image adds to sums: [all right, nll, brier, true C, answered C, both C, calibration bins …]."""
    of_truth = np.where(true_nc > 0, probabilities_nc, 1.0 - probabilities_nc)
    means = np.stack(
        [
            (true_nc == answered_nc).all(axis=1).astype(np.float64),
            -np.log(np.maximum(of_truth, _TINIEST)).mean(axis=1),
            np.square(probabilities_nc - true_nc).mean(axis=1),
        ],
        axis=1,
    )
    return np.concatenate(
        [means, true_nc, answered_nc, true_nc * answered_nc, bin_sums(probabilities_nc, true_nc)], axis=1
    )


def _drawn(features: Floats, rankings: Sequence[_Ranking], *, seed: int, resamples: int) -> tuple[Floats, Floats]:
    """The summed features [R, F] and the classes' average precisions [R, C] of every resample."""
    sums, precisions = [], []
    features32 = features.astype(np.float32)
    for counts in resampled_counts(len(features), seed=seed, resamples=resamples):
        sums.append(counts @ features32)
        precisions.append(np.stack([_average_precision(counts, ranking) for ranking in rankings], axis=1))
    return np.concatenate(sums).astype(np.float64), np.concatenate(precisions)


def _ranking(true_n: Floats, probability_n: Floats) -> _Ranking:
    order = np.argsort(-probability_n, kind="stable")
    group = np.unique(-probability_n[order], return_inverse=True)[1]
    carries = true_n[order].astype(np.float32)
    holds = np.bincount(group, weights=carries) > 0
    last_of_group = np.append(np.flatnonzero(np.diff(group)), len(group) - 1)
    ends = last_of_group[holds]
    cut = int(ends[-1]) + 1 if len(ends) else 0
    return _Ranking(order=order[:cut], starts=np.append(0, ends[:-1] + 1)[: len(ends)], carries=carries[:cut])


def _average_precision(counts: NDArray[np.float32], ranking: _Ranking) -> Floats:
    """Σ (recall step × precision) over falling thresholds, equals being one step; NaN without the class."""
    if not len(ranking.order):
        return np.full(len(counts), np.nan)
    ordered = counts[:, ranking.order]
    every = np.add.reduceat(ordered, ranking.starts, axis=1).astype(np.float64).cumsum(axis=1)
    step = np.add.reduceat(ordered * ranking.carries, ranking.starts, axis=1).astype(np.float64)
    found = step.cumsum(axis=1)
    with np.errstate(invalid="ignore"):
        precision: Floats = (step * found / np.maximum(every, 1.0)).sum(axis=1) / found[:, -1]
    return precision


def _shares(sums: Floats, images: int, num_classes: int) -> _Shares:
    rows, columns, hits = (sums[:, _MEANS + i * num_classes : _MEANS + (i + 1) * num_classes] for i in range(3))
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, precision = hits / rows, hits / columns
        f1 = np.where(rows > 0, 2 * hits / (rows + columns), np.nan)
        specificity = (images - rows - columns + hits) / (images - rows)
        micro = 2 * hits.sum(axis=1) / (rows + columns).sum(axis=1)
    return _Shares(
        rows=rows,
        columns=columns,
        hits=hits,
        recall=recall,
        precision=precision,
        f1=f1,
        balanced=(recall + specificity) / 2,
        macro_f1=_row_means(f1),
        micro_f1=micro,
    )


def _one_class(
    real: _Shares, drawn: _Shares, c: int, name: str, average_precision: tuple[float, Floats, int]
) -> ClassMetrics:
    value, values_drawn, images = average_precision
    support, answered, right = (round(float(counts[0, c])) for counts in (real.rows, real.columns, real.hits))
    precision = recall = f1 = ranked = Interval(value=None, reason=NEVER_SEEN)
    if support:
        recall_value, f1_value = float(real.recall[0, c]), float(real.f1[0, c])
        recall = around(recall_value, drawn.recall[:, c], images, share_bounds(recall_value, support))
        f1 = around(f1_value, drawn.f1[:, c], images, f1_bounds(right, support + answered - right))
        # A mean of `support` precisions in 0..1 varies no more than a share does (Bhatia & Davis 2000).
        ranked = around(float(value), values_drawn, images, share_bounds(float(value), support))
        precision = Interval(value=None, reason=NEVER_ANSWERED)
    if support and answered:
        share = float(real.precision[0, c])
        precision = around(share, drawn.precision[:, c], images, share_bounds(share, answered))
    return ClassMetrics(
        name=name,
        support=support,
        answered=answered,
        right=right,
        neither=images - support - answered + right,
        precision=precision,
        recall=recall,
        f1=f1,
        average_precision=ranked,
    )


def _balanced(real: _Shares, drawn: _Shares, images: int) -> Interval:
    """The mean over classes that some images carry and some do not."""
    parts = []
    for c in range(real.rows.shape[1]):
        support, answered, right = real.rows[0, c], real.columns[0, c], real.hits[0, c]
        if not 0 < support < images:
            continue
        for share, trials in (
            (right / support, support),
            (1 - (answered - right) / (images - support), images - support),
        ):
            low, high = share_bounds(float(share), float(trials))
            parts.append(Interval(value=float(share), low=low, high=high))
    return _mean(parts, _row_means(drawn.balanced), images)


def _micro(real: _Shares, drawn: _Shares, images: int) -> Interval:
    """F1 over all classes pooled; its bounds count images, as labels of one image are not independent."""
    right = float(real.hits.sum())
    union = float((real.rows + real.columns - real.hits).sum())
    if union == 0:
        return Interval(value=None, reason="no image carries a class and none was answered")
    independent = min(union, float(images))
    bounds = f1_bounds(right / union * independent, independent)
    return around(float(real.micro_f1[0]), drawn.micro_f1, images, bounds)


def _mean(parts: Sequence[Interval | None], drawn: Floats, images: int) -> Interval:
    known = [part for part in parts if part is not None and part.value is not None]
    if not known:
        return Interval(value=None, reason=NEVER_SEEN)
    return mean_of(known, drawn, images)


def _row_means(values_rc: Floats) -> Floats:
    """Each row's mean over what is known in it; NaN where nothing is."""
    known = np.isfinite(values_rc)
    with np.errstate(invalid="ignore"):
        means: Floats = np.where(known, values_rc, 0.0).sum(axis=1) / known.sum(axis=1)
    return means
