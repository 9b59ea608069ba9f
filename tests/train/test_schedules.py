import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.train.config import ScheduleConfig
from andon.train.schedules import SCHEDULES, rate_factor

NAMES = sorted(SCHEDULES)


def _config(name: str, **others: float) -> ScheduleConfig:
    return ScheduleConfig(name=name, **{"warmup": 0.0, "final": 0.01, **others})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
@given(warmup=st.floats(0, 1), a=st.floats(0, 1), b=st.floats(0, 1))
def test_rises_in_warmup_then_never_again(name: str, warmup: float, a: float, b: float) -> None:
    config = _config(name, warmup=warmup)
    early, late = sorted((a, b))
    first, second = rate_factor(early, config), rate_factor(late, config)
    assert 0 <= first <= 1 + 1e-9
    if late < warmup:
        assert first <= second + 1e-9
    elif early >= warmup:
        assert first >= second - 1e-9


@pytest.mark.parametrize(
    ("name", "at_half", "at_end"),
    [
        ("fixed", 1.0, 1.0),
        ("cosine", 0.505, 0.01),
        ("linear", 0.505, 0.01),
        ("exponential", 0.1, 0.01),
        ("polynomial", 0.01 + 0.99 * 0.5**0.9, 0.01),
        ("step", 0.1, 0.001),
    ],
)
def test_known_values(name: str, at_half: float, at_end: float) -> None:
    config = _config(name)
    found = [rate_factor(progress, config) for progress in (0.0, 0.5, 1.0)]
    assert found == pytest.approx([1.0, at_half, at_end])


def test_step_falls_where_it_says() -> None:
    config = _config("step", every=0.25, factor=0.5)
    assert [rate_factor(p, config) for p in (0.24, 0.25, 0.5, 0.76)] == pytest.approx([1, 0.5, 0.25, 0.125])


def test_beyond_the_ends_it_stays() -> None:
    config = _config("cosine", warmup=0.1)
    assert rate_factor(1.7, config) == rate_factor(1.0, config)
    assert rate_factor(-1.0, config) == rate_factor(0.0, config) > 0
