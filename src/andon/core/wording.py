"""Small pieces of sentences that several messages share."""

from collections.abc import Sequence


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: `1 image`, `1,393 images`, `2 classes`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(names: Sequence[str], *, first: int = 10) -> str:
    """The first few names, and how many more there are: `a, b and 7 more`."""
    shown = ", ".join(names[:first])
    return f"{shown} and {len(names) - first:,} more" if len(names) > first else shown
