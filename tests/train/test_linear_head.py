import numpy as np
import pytest
from numpy.typing import NDArray

from andon.train.linear_head import STRENGTHS, LabelledFeatures, LinearHead, fit_head


def _part(
    labels: list[int], classes: int = 3, *, noise: float = 0.1, seed: int = 0, offset: float = 50.0
) -> LabelledFeatures:
    """Features around one corner a class, far from zero and of very different scales."""
    rng = np.random.default_rng(seed)
    targets = np.eye(classes, dtype=np.float32)[labels].reshape(len(labels), classes)
    centres = np.random.default_rng(1).normal(size=(classes, 8))
    scale = 10.0 ** np.arange(-2, 6)[:8] / 100
    features = (targets @ centres + rng.normal(scale=noise, size=(len(labels), 8))) * scale + offset
    return LabelledFeatures(features_nd=features.astype(np.float32), targets_nc=targets)


def _fit(train: LabelledFeatures, val: LabelledFeatures, **options: bool) -> LinearHead:
    return fit_head(train, val, **{"multi_label": False, "balanced": False, "include_val": False, **options})


def _logits(head: LinearHead, part: LabelledFeatures) -> NDArray[np.float64]:
    return part.features_nd.astype(np.float64) @ head.weight_cd.T + head.bias_c


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("include_val", [False, True])
def test_separable_classes_are_told_apart(classes: int, include_val: bool) -> None:
    train = _part(list(range(classes)) * 10, classes)
    val = _part(list(range(classes)) * 4, classes, seed=9)
    head = _fit(train, val, include_val=include_val)
    assert head.weight_cd.shape == (classes, 8)
    assert head.weight_cd.dtype == head.bias_c.dtype == np.float32
    assert np.array_equal(_logits(head, val).argmax(1), val.targets_nc.argmax(1))


def test_two_classes_give_the_probability_of_the_solver() -> None:
    """The one row that scikit-learn gives is spread over two logits: their difference is the log odds."""
    from sklearn.linear_model import LogisticRegression

    train, val = _part([0, 1] * 15, 2, noise=1.0), _part([0, 1] * 5, 2, noise=1.0, seed=4)
    head = _fit(train, val)
    mean, scale = train.features_nd.mean(0), train.features_nd.std(0) + 1e-6
    labels = train.targets_nc.argmax(1)
    solver = LogisticRegression(C=head.strength, max_iter=1000, tol=1e-6).fit(
        (train.features_nd - mean) / scale, labels
    )
    expected = solver.decision_function((val.features_nd - mean) / scale)
    found = _logits(head, val)
    np.testing.assert_allclose(found[:, 1] - found[:, 0], expected, atol=0.02)
    np.testing.assert_allclose(found.sum(1), 0, atol=1e-2)


def test_several_labels_an_image() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random((60, 3)) < 0.4).astype(np.float32)
    signs = rng.normal(size=(3, 200))  # as many features as a small backbone has
    features = (targets @ signs + rng.normal(scale=0.3, size=(60, 200))).astype(np.float32)
    part = LabelledFeatures(features_nd=features, targets_nc=targets)
    head = _fit(part, part, multi_label=True)
    assert np.array_equal(_logits(head, part) > 0, targets > 0.5)


def test_labels_that_no_image_or_every_image_has() -> None:
    part = LabelledFeatures(
        features_nd=np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32),
        targets_nc=np.array([[0, 1, row % 2] for row in range(20)], np.float32),
    )
    logits = _logits(_fit(part, part, multi_label=True), part)
    assert (logits[:, 0] < -5).all()
    assert (logits[:, 1] > 5).all()


@pytest.mark.parametrize("left", [2, 3])
def test_class_that_train_lacks_is_never_answered(left: int) -> None:
    labels = [number % left for number in range(30)]
    train, val = _part(labels, left + 1), _part(labels, left + 1, seed=3)
    head = _fit(train, val)
    assert (_logits(head, val).argmax(1) < left).all()
    assert np.isfinite(head.weight_cd).all()


def test_val_that_has_a_class_train_lacks_teaches_it() -> None:
    train, val = _part([0, 1] * 10, 3), _part([0, 1, 2] * 6, 3, seed=3)
    head = _fit(train, val, include_val=True)
    assert (_logits(head, val).argmax(1) == val.targets_nc.argmax(1)).mean() > 0.9


def test_val_chooses_the_regularisation() -> None:
    """With labels that are mostly noise the strongest regularisation is best, with clean ones a weak one."""
    rng = np.random.default_rng(2)
    clean_train, clean_val = _part([0, 1, 2] * 20, seed=1), _part([0, 1, 2] * 8, seed=2)
    shuffled = [int(label) for label in rng.integers(0, 3, 60)]
    noisy_train = LabelledFeatures(
        features_nd=rng.normal(size=(60, 64)).astype(np.float32), targets_nc=np.eye(3, dtype=np.float32)[shuffled]
    )
    noisy_val = LabelledFeatures(
        features_nd=rng.normal(size=(3000, 64)).astype(np.float32),
        targets_nc=np.eye(3, dtype=np.float32)[rng.integers(0, 3, 3000)],
    )
    assert _fit(noisy_train, noisy_val).strength == min(STRENGTHS)
    assert _fit(clean_train, clean_val).strength == max(STRENGTHS)
    nothing = LabelledFeatures(features_nd=np.zeros((0, 8), np.float32), targets_nc=np.zeros((0, 3), np.float32))
    assert _fit(clean_train, nothing, include_val=True).strength == STRENGTHS[len(STRENGTHS) // 2]


def test_balance_lets_a_rare_class_be_heard() -> None:
    train, val = _part([0] * 95 + [1] * 5, 2, noise=2.0), _part([0, 1] * 50, 2, noise=2.0, seed=8)
    rare = [
        float((_logits(_fit(train, val, balanced=balanced), val).argmax(1)[1::2] == 1).mean())
        for balanced in (False, True)
    ]
    assert rare[0] < rare[1]


def test_feature_that_never_changes_does_no_harm() -> None:
    train = _part([0, 1, 2] * 10)
    train.features_nd[:, 0] = 7.0
    head = _fit(train, train)
    assert np.isfinite(head.weight_cd).all()
    assert np.isfinite(head.bias_c).all()
