"""How long-running work says where it is, without knowing who listens."""

from typing import Protocol


class Progress(Protocol):
    """A listener to one piece of work at a time; calls come from one thread."""

    def start(self, what: str, total: int | None) -> None:
        """A piece of work of `total` steps begins (None: not known yet)."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """`steps` more are done; `note` is a short remark such as the current loss."""

    def say(self, message: str) -> None:
        """One sentence for the person watching, kept in the log."""


class Silent:
    """A listener that hears nothing."""

    def start(self, what: str, total: int | None) -> None:
        """Ignores the beginning."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Ignores the step."""

    def say(self, message: str) -> None:
        """Ignores the sentence."""
