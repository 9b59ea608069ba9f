"""Figures as people read them."""

import math

from andon.metrics.classification import Interval

_PERCENT = "\u00a0%"
_TO = "\u2009\u2013\u2009"
NOTHING = "\u2014"


def percent(share: float | None) -> str:
    """A share as a percentage with one decimal; whole where it is whole."""
    if share is None:
        return NOTHING
    text = f"{100 * share:.1f}"
    return ("100" if text == "100.0" and share == 1.0 else "0" if share == 0.0 else text) + _PERCENT


def percent_range(interval: Interval) -> str:
    """The interval of a share: `88.0 – 94.1 %`."""
    if interval.low is None or interval.high is None:
        return NOTHING
    return f"{100 * interval.low:.1f}{_TO}{100 * interval.high:.1f}{_PERCENT}"


def plain(value: float | None) -> str:
    """A figure that is no share, with three decimals."""
    return NOTHING if value is None else f"{value:.3f}"


def plain_range(interval: Interval) -> str:
    """The interval of a figure that is no share."""
    if interval.low is None or interval.high is None:
        return NOTHING
    return f"{interval.low:.3f}{_TO}{interval.high:.3f}"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"


def tiny(value: float) -> str:
    """A small number with two significant digits, without an exponent: 0.000021."""
    if value <= 0:
        return "0"
    decimals = max(0, 1 - math.floor(math.log10(value)))
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".") if decimals else f"{value:.0f}"
