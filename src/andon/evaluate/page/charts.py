"""Drawings: inline SVG that takes its colours from the page's style, so that light, dark and print all work."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from andon.evaluate.page.markup import Html, el, join, number
from andon.metrics.classification import Interval, ReliabilityBin

_SQUARES = 100
_LEAST_SPREAD = 1e-4
_NOTHING = 1e-12


def interval_bar(interval: Interval) -> Html | None:
    """A share from 0 to 1 as a bar with its interval; the numbers stand beside it, so readers of text skip it."""
    if interval.value is None:
        return None
    low = interval.value if interval.low is None else interval.low
    high = interval.value if interval.high is None else interval.high
    return el(
        "svg",
        el("rect", cls="track", x=0.0, y=5.0, width=100.0, height=6.0),
        el("rect", cls="sure", x=0.0, y=5.0, width=100 * low, height=6.0),
        el("rect", cls="open", x=100 * low, y=5.0, width=100 * (high - low), height=6.0),
        el("rect", cls="tick", x=min(99.2, max(0.0, 100 * interval.value - 0.4)), y=0.0, width=0.8, height=16.0),
        cls="interval",
        viewbox="0 0 100 16",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def hundred(interval: Interval) -> Html | None:
    """A hundred squares for a hundred photos: surely right, within the interval, and wrong."""
    if interval.value is None or interval.low is None or interval.high is None:
        return None
    low, high = round(_SQUARES * interval.low), round(_SQUARES * interval.high)
    squares = []
    for place in range(_SQUARES):
        row, column = divmod(place, 10)
        kind = "sure" if place < low else "open" if place < high else "wrong"
        squares.append(el("rect", cls=kind, x=column * 12.0 + 1, y=row * 12.0 + 1, width=10.0, height=10.0, rx=1.5))
    said = (
        f"Out of 100 photos, at least {low} are answered right, {_SQUARES - high} are answered wrong, "
        f"and for the {high - low} between this test cannot tell."
    )
    return el(
        "figure",
        el("svg", *squares, viewbox="0 0 120 120", role="img", aria_label=said),
        el(
            "figcaption",
            el("span", el("i", cls="key sure"), f"{low} right"),
            el("span", el("i", cls="key open"), f"{high - low} open") if high > low else None,
            el("span", el("i", cls="key wrong"), f"{_SQUARES - high} wrong") if high < _SQUARES else None,
        ),
        cls="hundred",
    )


def reliability_diagram(bins: Sequence[ReliabilityBin]) -> Html:
    """How often answers were right against the probability given; on the diagonal both agree."""
    left, top, side = 62.0, 12.0, 300.0

    def x(share: float) -> float:
        return left + side * share

    def y(share: float) -> float:
        return top + side * (1 - share)

    most = max((one.count for one in bins), default=1) or 1
    parts: list[Html] = []
    for step in range(6):
        share = step / 5
        parts.append(el("line", cls="grid", x1=left, x2=left + side, y1=y(share), y2=y(share)))
        parts.append(el("text", f"{share:.0%}", cls="label end", x=left - 8, y=y(share) + 4))
        parts.append(el("text", f"{share:.0%}", cls="label middle", x=x(share), y=top + side + 18))
    parts.append(el("line", cls="ideal", x1=x(0), y1=y(0), x2=x(1), y2=y(1)))
    for one in bins:
        if one.probability is None or one.right.value is None or one.right.low is None or one.right.high is None:
            continue
        at = x(one.probability)
        radius = 3 + 9 * (one.count / most) ** 0.5
        parts.append(el("line", cls="whisker", x1=at, x2=at, y1=y(one.right.low), y2=y(one.right.high)))
        parts.append(el("circle", cls="dot", cx=at, cy=y(one.right.value), r=radius))
    parts.append(el("text", "probability the model gave", cls="axis middle", x=left + side / 2, y=top + side + 38))
    parts.append(
        el(
            "text",
            "share that was right",
            cls="axis middle",
            transform=f"translate(14 {number(top + side / 2)}) rotate(-90)",
        )
    )
    said = "Reliability diagram: the share of right answers against the probability given; the table below says it."
    return el("svg", *parts, cls="chart square", viewbox="0 0 382 362", role="img", aria_label=said)


Series = Mapping[str, Sequence[tuple[float, float]]]


def line_chart(series: Series, *, x_name: str, y_name: str) -> Html:
    """Curves over one abscissa, each named at its end.

    Args:
        series: points (x, y) by name, each at least one, x rising.
        x_name: what the abscissa is.
        y_name: what the ordinate is.
    """
    left, top, width, height = 52.0, 14.0, 380.0, 190.0
    points = [point for line in series.values() for point in line]
    x_low, x_high = min(p[0] for p in points), max(p[0] for p in points)
    ticks = _ticks(min(p[1] for p in points), max(p[1] for p in points))
    y_low, y_high = ticks[0], ticks[-1]

    def x(value: float) -> float:
        return left + width * ((value - x_low) / (x_high - x_low) if x_high > x_low else 0.5)

    def y(value: float) -> float:
        return top + height * (1 - (value - y_low) / (y_high - y_low))

    grid = [el("line", cls="grid", x1=left, x2=left + width, y1=y(t), y2=y(t)) for t in ticks]
    labels = [el("text", f"{t:g}", cls="label end", x=left - 8, y=y(t) + 4) for t in ticks]
    labels += [
        el("text", f"{value:g}", cls="label middle", x=x(value), y=top + height + 18)
        for value in sorted({x_low, x_high})
    ]
    ends = _apart([y(line[-1][1]) for line in series.values()])
    lines: list[Html] = []
    for place, ((name, line), end) in enumerate(zip(series.items(), ends, strict=True)):
        path = " ".join(f"{number(x(a))},{number(y(b))}" for a, b in line)
        shape = f"series s{place % 4}"
        lines.append(el("polyline", cls=shape, points=path) if len(line) > 1 else Html(""))
        lines.append(el("circle", cls=f"{shape} mark", cx=x(line[-1][0]), cy=y(line[-1][1]), r=3.0))
        lines.append(el("text", name, cls=f"name s{place % 4}", x=x(line[-1][0]) + 9, y=end + 4))
    axis = el("text", x_name, cls="axis middle", x=left + width / 2, y=top + height + 36)
    said = f"{y_name} over {x_name}: " + ", ".join(
        f"{name} from {line[0][1]:.3g} to {line[-1][1]:.3g}" for name, line in series.items()
    )
    return el(
        "svg",
        join([*grid, *labels, axis, *lines]),
        cls="chart wide",
        viewbox="0 0 584 246",
        role="img",
        aria_label=said,
    )


def _ticks(low: float, high: float) -> list[float]:
    """About five round values that hold `low` and `high` between them."""
    largest = max(abs(low), abs(high))
    spread = high - low
    if spread <= max(largest * _LEAST_SPREAD, _NOTHING):  # a flat line: its own size gives the scale
        spread = largest if largest > _NOTHING else 1.0
    rough = spread / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = math.floor(low / step)
    last = max(first + 1, math.ceil(high / step - 1e-6))
    return [float(f"{place * step:.10g}") for place in range(first, last + 1)]


def _apart(heights: Sequence[float], gap: float = 15.0) -> list[float]:
    """The same heights moved down where needed, so that no two labels overlap; order of arguments kept."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    moved = list(heights)
    for upper, lower in pairwise(order):
        moved[lower] = max(moved[lower], moved[upper] + gap)
    return moved
