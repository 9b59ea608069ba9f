import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, precision_recall_fscore_support

from andon.metrics.classification import ClassificationMetrics, classification_metrics

CLASSES = ("a", "b", "c", "d")


def draw_case(seed: int, images: int, *, steps: int | None = None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Labels and probabilities; with `steps`, probabilities take few values and so tie often."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((images, 4)) < (0.5, 0.3, 0.1, 0.02)).astype(np.float32)
    probabilities = 1 / (1 + np.exp(-(rng.normal(size=(images, 4)) + 3 * labels - 1.5)))
    if steps is not None:
        probabilities = np.round(probabilities * steps) / steps
    return labels, probabilities.astype(np.float32)


def measure(
    labels: NDArray[np.float32], probabilities: NDArray[np.float32], resamples: int = 20
) -> ClassificationMetrics:
    return classification_metrics(labels, probabilities, CLASSES, multi_label=True, resamples=resamples)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 80), st.sampled_from([None, 4, 10]))
def test_agrees_with_scikit_learn(seed: int, images: int, steps: int | None) -> None:
    labels, probabilities = draw_case(seed, images, steps=steps)
    answered = (probabilities >= 0.5).astype(int)
    found = measure(labels, probabilities)
    assert found.accuracy.value == pytest.approx(accuracy_score(labels.astype(int), answered))
    present = np.flatnonzero(labels.sum(axis=0))
    precision, recall, f1, support = precision_recall_fscore_support(labels, answered, average=None, zero_division=0)
    for c, one in enumerate(found.per_class):
        assert one.support == support[c]
        assert one.neither == ((labels[:, c] == 0) & (answered[:, c] == 0)).sum()
        if not support[c]:
            assert one.recall.reason == "no image of this class was there to test"
            continue
        assert one.recall.value == pytest.approx(recall[c])
        assert one.f1.value == pytest.approx(f1[c])
        assert one.precision.value == (pytest.approx(precision[c]) if one.answered else None)
        assert one.average_precision is not None
        expected = average_precision_score(labels[:, c], probabilities[:, c])
        assert one.average_precision.value == pytest.approx(expected)
    if len(present):
        assert found.macro_f1.value == pytest.approx(f1[present].mean())
        assert found.mean_average_precision is not None
        ranked = [average_precision_score(labels[:, c], probabilities[:, c]) for c in present]
        assert found.mean_average_precision.value == pytest.approx(np.mean(ranked))
    if labels.any() or answered.any():
        assert found.micro_f1 is not None
        assert found.micro_f1.value == pytest.approx(f1_score(labels, answered, average="micro", zero_division=0))
    exact = probabilities.astype(np.float64)
    assert found.brier.value == pytest.approx(np.square(exact - labels).mean())


def test_resampled_average_precision_is_that_of_the_resample() -> None:
    """Weighted counts must give what scikit-learn gives for the same images repeated."""
    labels, probabilities = draw_case(3, 60, steps=10)
    repeated = np.random.default_rng(0).integers(0, 60, 60)
    counts = np.bincount(repeated, minlength=60).astype(np.float32)[None]
    from andon.metrics.classification.multi_label import _average_precision, _ranking

    got = _average_precision(counts, _ranking(labels[:, 0].astype(np.float64), probabilities[:, 0].astype(np.float64)))
    assert got[0] == pytest.approx(average_precision_score(labels[repeated, 0], probabilities[repeated, 0]))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 40))
def test_every_interval_holds_its_value(seed: int, images: int) -> None:
    found = measure(*draw_case(seed, images), resamples=60)
    classes = [f for one in found.per_class for f in (one.precision, one.recall, one.f1, one.average_precision)]
    for figure in [*found.overall().values(), *classes]:
        if figure is None or figure.value is None:
            continue
        assert figure.low is not None
        assert figure.high is not None
        assert 0 <= figure.low <= figure.value <= figure.high


def test_perfect_scores_on_few_images_stay_humble() -> None:
    labels = np.tile(np.eye(4, dtype=np.float32), (3, 1))
    found = measure(labels, labels, resamples=200)
    for figure in (found.accuracy, found.macro_f1, found.micro_f1, found.mean_average_precision):
        assert figure is not None
        assert figure.value == 1.0
        assert figure.low is not None
        assert 0.4 < figure.low < 0.95


def test_thresholds_are_per_class() -> None:
    labels = np.array([[1, 0, 0, 0]], np.float32)
    probabilities = np.array([[0.4, 0.6, 0.1, 0.1]], np.float32)
    found = classification_metrics(
        labels, probabilities, CLASSES, multi_label=True, thresholds_c=(0.3, 0.7, 0.5, 0.5), resamples=5
    )
    assert found.accuracy.value == 1.0
    assert measure(labels, probabilities).accuracy.value == 0.0


def test_what_makes_no_sense_for_several_labels_says_so() -> None:
    found = measure(*draw_case(1, 20))
    assert found.top5.value is None
    assert found.top5.reason is not None
    assert found.confusion is None


def test_nothing_there_and_nothing_said_is_all_right_and_no_f1() -> None:
    found = measure(np.zeros((3, 4), np.float32), np.full((3, 4), 0.1, np.float32))
    assert found.accuracy.value == 1.0
    assert found.macro_f1.value is None
    assert found.micro_f1 is not None
    assert found.micro_f1.reason == "no image carries a class and none was answered"


def test_order_of_images_does_not_matter() -> None:
    labels, probabilities = draw_case(8, 50)
    turned = np.random.default_rng(1).permutation(50)
    first, second = measure(labels, probabilities).to_plain(), measure(labels[turned], probabilities[turned]).to_plain()
    for name in first.keys() - {"top5"}:
        assert first[name] == pytest.approx(second[name], rel=1e-9)
