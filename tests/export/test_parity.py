"""The parity gate's measurement."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from andon.core.image import PixelsHWC
from andon.export.parity import compare

Batches = list[tuple[list[str], PixelsHWC]]


def batches_of(*sizes: int) -> Batches:
    rng = np.random.default_rng(0)
    numbered = iter(range(1000))
    return [
        ([f"photo {next(numbered)}" for _ in range(n)], rng.integers(0, 256, (n, 2, 2, 3), dtype=np.uint8))
        for n in sizes
    ]


def mean_colour(batch: PixelsHWC) -> NDArray[np.float32]:
    logits: NDArray[np.float32] = (batch.mean(axis=(1, 2)) / 64).astype(np.float32)
    return logits


def changed(
    row: int, change: Callable[[NDArray[np.float32]], None], batch_size: int
) -> Callable[[PixelsHWC], NDArray[np.float32]]:
    """`mean_colour`, the logits of one image of the batch of `batch_size` changed."""

    def logits(batch: PixelsHWC) -> NDArray[np.float32]:
        found = mean_colour(batch)
        if len(batch) == batch_size:
            change(found[row])
        return found

    return logits


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_model_agrees_with_itself(multi_label: bool) -> None:
    found = compare(mean_colour, mean_colour, batches_of(3, 2), multi_label=multi_label)
    assert found.passed
    assert (found.max_difference, found.mean_difference, found.images) == (0, 0, 5)
    assert "at most 0 in probability over 5 images (within the tolerance of 0.001)" in found.sentence()


@pytest.mark.parametrize("multi_label", [False, True])
def test_one_image_out_of_many_is_enough_to_fail(multi_label: bool) -> None:
    def nudge(logits_c: NDArray[np.float32]) -> None:
        logits_c[1] += 0.1

    found = compare(mean_colour, changed(1, nudge, 2), batches_of(3, 2, 4), multi_label=multi_label)
    assert not found.passed
    assert found.worst_key == "photo 4"
    assert 0.005 < found.max_difference < 0.03
    assert found.mean_difference == pytest.approx(found.max_difference / 9)
    assert "above the tolerance of 0.001; the worst is photo 4" in found.sentence()
    assert compare(
        mean_colour, changed(1, nudge, 2), batches_of(3, 2, 4), multi_label=multi_label, tolerance=0.05
    ).passed


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_a_number_never_passes(bad: float) -> None:
    def spoil(logits_c: NDArray[np.float32]) -> None:
        logits_c[0] = bad

    for reference, candidate in ((mean_colour, changed(0, spoil, 2)), (changed(0, spoil, 2), mean_colour)):
        found = compare(reference, candidate, batches_of(2), multi_label=False, tolerance=1.0)
        assert not found.passed
        assert found.worst_key == "photo 0"


def test_other_shapes_never_pass() -> None:
    found = compare(mean_colour, lambda batch: mean_colour(batch)[:, :2], batches_of(2), multi_label=False)
    assert not found.passed
    assert found.max_difference == float("inf")


def test_nothing_compared_is_not_a_pass() -> None:
    found = compare(mean_colour, mean_colour, [], multi_label=False)
    assert not found.passed
    assert found.worst_key is None
    assert "there are no images to compare" in found.sentence()


@given(shift=st.floats(-50, 50), multi_label=st.booleans())
def test_a_difference_of_probability_is_between_none_and_one(shift: float, multi_label: bool) -> None:
    def shifted(batch: PixelsHWC) -> NDArray[np.float32]:
        return mean_colour(batch) + np.array([shift, 0, 0], np.float32)

    found = compare(mean_colour, shifted, batches_of(4), multi_label=multi_label)
    assert 0 <= found.mean_difference <= found.max_difference <= 1
