import numpy as np
import pytest
import torch
from torch.nn import functional

from andon.train.config import LossConfig
from andon.train.losses import class_weights, drawing_weights, make_loss

TARGETS = np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 2, 0]]
MANY = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 0], [1, 0, 0]], np.float32)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_torchs(smoothing: float) -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)) * 5
    loss = make_loss(LossConfig(label_smoothing=smoothing), TARGETS, multi_label=False)
    labels = torch.from_numpy(TARGETS.argmax(1))
    expected = functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
    torch.testing.assert_close(loss(logits, torch.from_numpy(TARGETS)), expected)


def test_weighted_cross_entropy_is_torchs() -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    config = LossConfig(class_balance="weights")
    weights = class_weights(config, TARGETS)
    expected = functional.cross_entropy(
        logits, torch.from_numpy(TARGETS.argmax(1)), weight=torch.from_numpy(weights), reduction="none"
    )
    found = make_loss(config, TARGETS, multi_label=False)(logits, torch.from_numpy(TARGETS))
    torch.testing.assert_close(found, expected)
    assert (TARGETS @ weights).mean() == pytest.approx(1.0)
    assert weights[1] == pytest.approx(4 * weights[0])  # four times rarer


def test_binary_cross_entropy_is_torchs() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(2)) * 4
    targets = torch.from_numpy(MANY)
    expected = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(1)
    torch.testing.assert_close(make_loss(LossConfig(), MANY, multi_label=True)(logits, targets), expected)


def test_binary_smoothing_pulls_towards_one_half() -> None:
    targets = torch.from_numpy(MANY)
    loss = make_loss(LossConfig(label_smoothing=0.2), MANY, multi_label=True)
    smooth = targets * 0.8 + 0.1
    torch.testing.assert_close(
        loss(torch.zeros(4, 3) + 2, targets),
        functional.binary_cross_entropy_with_logits(torch.zeros(4, 3) + 2, smooth, reduction="none").mean(1),
    )


def test_sampling_draws_every_class_equally_often() -> None:
    assert drawing_weights(LossConfig(), TARGETS) is None
    weights = drawing_weights(LossConfig(class_balance="sampling"), TARGETS)
    assert weights is not None
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ TARGETS == pytest.approx([1 / 3] * 3)
    assert np.all(class_weights(LossConfig(class_balance="sampling"), TARGETS) == 1)


def test_sampling_with_images_of_several_classes_or_none() -> None:
    weights = drawing_weights(LossConfig(class_balance="sampling"), MANY)
    assert weights is not None
    assert weights.min() > 0
    assert weights[2] > weights[3]  # it carries the rarer class


def test_class_without_images_has_a_finite_weight() -> None:
    targets = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    assert np.isfinite(class_weights(LossConfig(class_balance="weights"), targets)).all()
    assert drawing_weights(LossConfig(class_balance="sampling"), targets) is not None
