import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.metrics.intervals import (
    Interval,
    _student,
    around,
    around_biased,
    f1_bounds,
    mean_of,
    resampled_counts,
    share_bounds,
    wilson,
)

Z = 1.959963984540054


@given(st.integers(1, 2000), st.data())
def test_wilson_bounds_solve_the_score_equation(trials: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, trials))
    share = hits / trials
    low, high = share_bounds(share, trials)
    assert 0 <= low <= share <= high <= 1
    for bound in (low, high):
        if 0 < bound < 1:
            distance = abs(share - bound)
            assert distance == pytest.approx(Z * math.sqrt(bound * (1 - bound) / trials), rel=1e-6, abs=1e-9)
    assert low > 0 or hits == 0
    assert high < 1 or hits == trials


def test_perfect_scores_are_not_certain() -> None:
    assert share_bounds(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert share_bounds(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert f1_bounds(10, 10)[0] < 0.9


def test_no_trial_means_nothing_is_known() -> None:
    low, high = wilson(np.array([np.nan, 0.0]), np.array([0.0, 0.0]))
    assert low.tolist() == [0.0, 0.0]
    assert high.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("freedom", "expected"), [(1, 12.7062), (2, 4.3027), (3, 3.1824), (5, 2.5706), (10, 2.2281), (100, 1.9840)]
)
def test_students_t_agrees_with_the_printed_tables(freedom: int, expected: float) -> None:
    assert _student(freedom) == pytest.approx(expected, abs=0.004)


def test_every_resample_draws_as_many_images_as_there_are() -> None:
    rows = np.concatenate(list(resampled_counts(37, seed=1, resamples=50)))
    assert rows.shape == (50, 37)
    assert (rows.sum(axis=1) == 37).all()
    assert rows.max() > 1


def test_chunks_do_not_change_how_many_there_are() -> None:
    chunks = list(resampled_counts(1_500_000, seed=1, resamples=5))
    assert [len(chunk) for chunk in chunks] == [2, 2, 1]


def test_the_seed_decides_the_draw() -> None:
    first, again, other = (np.concatenate(list(resampled_counts(50, seed=s, resamples=9))) for s in (3, 3, 4))
    assert (first == again).all()
    assert (first != other).any()


def test_one_image_alone_has_no_interval_but_a_share_has() -> None:
    alone = around(0.4, np.full(100, 0.4), 1)
    assert (alone.value, alone.low, alone.high) == (0.4, None, None)
    assert alone.reason is not None
    share = around(1.0, np.ones(100), 1, share_bounds(1.0, 1))
    assert share.low == pytest.approx(0.2065, abs=1e-4)


def test_the_wider_bound_wins_on_either_side() -> None:
    resampled = np.linspace(0.2, 0.6, 1001)
    found = around(0.4, resampled, 1000, (0.3, 0.9))
    assert found.low == pytest.approx(0.21, abs=0.002)
    assert found.high == 0.9


def test_resamples_that_cannot_tell_are_left_out() -> None:
    resampled = np.array([np.nan, 0.5, 0.5, np.nan])
    assert around(0.5, resampled, 100, (0.4, 0.6)) == Interval(value=0.5, low=0.4, high=0.6)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=50), st.floats(0, 1))
def test_an_interval_always_holds_its_value(resampled: list[float], value: float) -> None:
    drawn = np.array(resampled)
    for found in (around(value, drawn, 20), around_biased(value, drawn, 20, value)):
        assert found.low is not None
        assert found.high is not None
        assert found.low <= value <= found.high


def test_a_mean_of_many_shares_is_surer_than_one() -> None:
    low, high = share_bounds(1.0, 5)
    one = Interval(value=1.0, low=low, high=high)
    few, many = (mean_of([one] * parts, np.ones(10), 5 * parts) for parts in (2, 20))
    assert few.low is not None
    assert many.low is not None
    assert low < few.low < many.low < 1.0


def test_plain_form_carries_a_reason_only_where_there_is_one() -> None:
    assert Interval(value=0.5, low=0.1, high=0.9).to_plain() == {"value": 0.5, "low": 0.1, "high": 0.9}
    assert Interval(value=None, reason="why").to_plain()["reason"] == "why"


@pytest.mark.parametrize(("right", "images"), [(1, 2), (2, 12), (4, 6), (11, 12)])
def test_what_was_seen_is_neither_impossible_nor_certain(right: int, images: int) -> None:
    hits = np.arange(images) < right
    resampled = np.concatenate([counts @ hits / images for counts in resampled_counts(images, seed=0, resamples=1000)])
    found = around(right / images, resampled, images, share_bounds(right / images, images))
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < right / images < found.high < 1
