"""The head as a convex problem: logistic regression on standardised embeddings, one optimum, no learning rate."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STRENGTHS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
_MAX_ITERATIONS = 400


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LinearHead:
    """A linear layer on raw embeddings: `embedding @ weight_cd.T + bias_c`.

    Attributes:
        weight_cd: float32 [C, D].
        bias_c: float32 [C].
        strength: the inverse regularisation that was chosen (scikit-learn's `C`).
        val_loss: mean log loss on val at that strength, before the last fit.
    """

    weight_cd: NDArray[np.float32]
    bias_c: NDArray[np.float32]
    strength: float
    val_loss: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LabelledFeatures:
    """Embeddings float32 [N, D] and targets float32 [N, C] of zeros and ones; rows of one image may repeat."""

    features_nd: NDArray[np.float32]
    targets_nc: NDArray[np.float32]


def fit_head(
    train: LabelledFeatures, val: LabelledFeatures, *, multi_label: bool, balanced: bool, include_val: bool
) -> LinearHead:
    """The head with the regularisation that is best on val.

    Args:
        train: what is fitted.
        val: what chooses the regularisation; without images the middle strength is taken.
        multi_label: one regression for each class instead of one over all.
        balanced: rare classes weigh as much as common ones.
        include_val: fit once more on train and val together at the chosen strength; val then no longer measures.

    Source: Boyd, Vandenberghe (2004), "Convex Optimization", §7.1; solved by scikit-learn's L-BFGS.
    """
    mean_d = train.features_nd.mean(axis=0)
    scale_d = train.features_nd.std(axis=0) + 1e-6

    def standardised(part: LabelledFeatures) -> NDArray[np.float32]:
        return np.asarray((part.features_nd - mean_d) / scale_d, np.float32)

    x_train = standardised(train)
    x_val = standardised(val) if len(val.features_nd) else np.empty((0, x_train.shape[1]), np.float32)
    best, best_loss = STRENGTHS[len(STRENGTHS) // 2], float("inf")
    for strength in STRENGTHS if len(x_val) else ():
        weight_cd, bias_c = _solve(x_train, train.targets_nc, strength, multi_label=multi_label, balanced=balanced)
        loss = _log_loss(x_val @ weight_cd.T + bias_c, val.targets_nc, multi_label=multi_label)
        if loss < best_loss:
            best, best_loss = strength, loss
    x_all, targets_all = x_train, train.targets_nc
    if include_val and len(x_val):
        x_all, targets_all = np.concatenate([x_train, x_val]), np.concatenate([train.targets_nc, val.targets_nc])
    weight_cd, bias_c = _solve(x_all, targets_all, best, multi_label=multi_label, balanced=balanced)
    raw_weight_cd = weight_cd / scale_d
    return LinearHead(
        weight_cd=np.asarray(raw_weight_cd, np.float32),
        bias_c=np.asarray(bias_c - raw_weight_cd @ mean_d, np.float32),
        strength=best,
        val_loss=best_loss,
    )


def _solve(
    x_nd: NDArray[np.float32],
    targets_nc: NDArray[np.float32],
    strength: float,
    *,
    multi_label: bool,
    balanced: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if multi_label:
        columns = [_solve_one(x_nd, targets_nc[:, c], strength, balanced=balanced) for c in range(targets_nc.shape[1])]
        return np.stack([weight_d for weight_d, _ in columns]), np.array([bias for _, bias in columns])
    labels_n = targets_nc.argmax(axis=1)
    present = np.unique(labels_n)
    num_classes, size = targets_nc.shape[1], x_nd.shape[1]
    weight_cd, bias_c = np.zeros((num_classes, size)), np.full(num_classes, -10.0)
    if len(present) == 2:  # scikit-learn then gives one row: the log odds of the second class
        weight_d, bias = _solve_one(x_nd, (labels_n == present[1]).astype(np.float32), strength, balanced=balanced)
        weight_cd[present[0]], weight_cd[present[1]] = -weight_d / 2, weight_d / 2
        bias_c[present[0]], bias_c[present[1]] = -bias / 2, bias / 2
        return weight_cd, bias_c
    found = _regression(strength, balanced=balanced).fit(x_nd, labels_n)
    weight_cd[present], bias_c[present] = found.coef_, found.intercept_
    return weight_cd, bias_c


def _solve_one(
    x_nd: NDArray[np.float32], target_n: NDArray[np.float32], strength: float, *, balanced: bool
) -> tuple[NDArray[np.float64], float]:
    if target_n.min() == target_n.max():  # a class that every image has, or none: there is nothing to tell apart
        return np.zeros(x_nd.shape[1]), 10.0 if target_n[0] > 0.5 else -10.0
    found = _regression(strength, balanced=balanced).fit(x_nd, target_n > 0.5)
    return np.asarray(found.coef_[0], np.float64), float(found.intercept_[0])


def _regression(strength: float, *, balanced: bool) -> "_QuietRegression":
    return _QuietRegression(strength, "balanced" if balanced else None)


class _QuietRegression:
    """scikit-learn's logistic regression; that it stops at the iteration limit is fine and not worth a warning."""

    def __init__(self, strength: float, class_weight: str | None) -> None:
        from sklearn.linear_model import LogisticRegression

        self._model = LogisticRegression(C=strength, max_iter=_MAX_ITERATIONS, tol=1e-4, class_weight=class_weight)
        self.coef_: NDArray[np.float64]
        self.intercept_: NDArray[np.float64]

    def fit(self, x_nd: NDArray[np.float32], labels_n: NDArray[np.int64] | NDArray[np.bool_]) -> "_QuietRegression":
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._model.fit(x_nd, labels_n)
        self.coef_, self.intercept_ = self._model.coef_, self._model.intercept_
        return self


def _log_loss(logits_nc: NDArray[np.float64], targets_nc: NDArray[np.float32], *, multi_label: bool) -> float:
    if multi_label:
        return float(np.mean(np.logaddexp(0, logits_nc) - targets_nc * logits_nc))
    top_n1 = logits_nc.max(axis=1, keepdims=True)
    log_sum_n = np.log(np.exp(logits_nc - top_n1).sum(axis=1)) + top_n1[:, 0]
    return float(np.mean(log_sum_n - (targets_nc * logits_nc).sum(axis=1)))
