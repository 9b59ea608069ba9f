import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.evaluate.page.charts import _apart, _ticks, hundred, interval_bar, line_chart
from andon.evaluate.page.markup import Html, el, join, named
from andon.evaluate.page.numbers import duration, percent, percent_range, tiny
from andon.metrics.classification import Interval


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_ticks_hold_the_values_and_are_few(low: float, spread: float) -> None:
    high = low + spread
    ticks = _ticks(low, high)
    room = (abs(low) + spread + 1e-3) * 1e-6
    assert ticks[0] <= low + room
    assert ticks[-1] >= high - room
    assert 2 <= len(ticks) <= 8
    assert ticks == sorted(set(ticks))


@given(st.lists(st.floats(0, 200), min_size=1, max_size=4))
def test_labels_never_overlap(heights: list[float]) -> None:
    moved = sorted(_apart(heights))
    assert all(lower - upper >= 15 - 1e-6 for upper, lower in pairwise(moved))


@given(st.text())
def test_text_is_escaped_and_markup_is_not(text: str) -> None:
    inside = el("p", text, title=text)
    assert "<" not in re.sub(r"^<p title=\"[^\"<]*\">|</p>$", "", inside)
    assert join([Html("<b>"), "<"]) == "<b>&lt;"


def test_attributes() -> None:
    assert el("td", cls="num", data_label="a", hidden=True, title=None, draggable=False, x=1.5) == (
        '<td class="num" data-label="a" hidden x="1.5"></td>'
    )
    assert el("rect", width=2.0) == '<rect width="2"/>'


@pytest.mark.parametrize(
    ("name", "language"), [("금속 캔", "ko"), ("塑膠瓶", "zh"), ("ガラス瓶", "ja"), ("glass", None), ("قارورة", None)]
)
def test_names_carry_the_language_of_their_script(name: str, language: str | None) -> None:
    assert named(name) == (f'<bdi lang="{language}">{name}</bdi>' if language else f"<bdi>{name}</bdi>")


@pytest.mark.parametrize(
    ("value", "text"), [(0.0000213, "0.000021"), (0.001, "0.001"), (0.0, "0"), (0.25, "0.25"), (1e-9, "0.000000001")]
)
def test_tiny_numbers_are_written_out(value: float, text: str) -> None:
    assert tiny(value) == text


def test_shares_and_times_as_people_say_them() -> None:
    assert percent(0.9137) == "91.4\u00a0%"
    assert percent(1.0) == "100\u00a0%"
    assert percent(None) == "\u2014"
    assert percent_range(Interval(value=None)) == "\u2014"
    assert [duration(s) for s in (25, 163, 9000)] == ["25 seconds", "3 minutes", "2.5 hours"]


def test_a_hundred_squares_are_a_hundred() -> None:
    drawn = hundred(Interval(value=0.91, low=0.88, high=0.94))
    assert drawn is not None
    assert [drawn.count(f'<rect class="{kind}"') for kind in ("sure", "open", "wrong")] == [88, 6, 6]
    assert hundred(Interval(value=None)) is None
    assert interval_bar(Interval(value=None)) is None


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-5, 5)), min_size=1, max_size=20))
def test_curves_stay_inside_their_frame(points: list[tuple[float, float]]) -> None:
    drawn = line_chart({"a": sorted(points)}, x_name="epoch", y_name="loss")
    found = re.search(r'points="([^"]+)"', drawn)
    for x, y in (map(float, pair.split(",")) for pair in (found.group(1).split() if found else [])):
        assert 52 - 0.1 <= x <= 432.1
        assert 14 - 0.1 <= y <= 204.1
        assert math.isfinite(x + y)
