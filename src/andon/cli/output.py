"""What commands print: results on stdout, everything else on stderr."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import typer

from andon.core.progress import Progress

JsonFlag = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, everything else on stderr.")]

_PLAIN_EVERY_S = 5.0


def emit(result: Mapping[str, object], *, as_json: bool, text: str) -> None:
    """The command's result: `result` as one line of JSON, or `text` for a person."""
    typer.echo(as_json_line(result) if as_json else text)


def as_json_line(result: Mapping[str, object]) -> str:
    """`result` as JSON; where stdout is not UTF-8 (an old code page), letters beyond ASCII are written as escapes."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "").replace("_", "")
    return json.dumps(result, ensure_ascii=encoding != "utf8", allow_nan=False)


def say(message: str) -> None:
    """A remark for the person at the terminal, on stderr."""
    typer.echo(message, err=True)


@contextmanager
def progress() -> Iterator[Progress]:
    """A listener that shows a bar with an ETA on a terminal and plain lines elsewhere, both on stderr."""
    if sys.stderr.isatty():
        with _terminal() as bar:
            yield bar
    else:
        yield PlainProgress()


@contextmanager
def _terminal() -> Iterator[Progress]:
    from andon.cli.terminal import TerminalProgress

    bar = TerminalProgress()
    try:
        yield bar
    finally:
        bar.close()


class PlainProgress:
    """Progress as lines for logs: at the start of a piece of work, then at most every five seconds, and at its end."""

    def __init__(self) -> None:
        self._what = ""
        self._total: int | None = None
        self._done = 0
        self._said_at = self._began_at = time.monotonic()

    def start(self, what: str, total: int | None) -> None:
        """Says what begins."""
        self._what, self._total, self._done = what, total, 0
        self._said_at = self._began_at = time.monotonic()
        say(f"{what} …")

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Says how far it is, when the last line is old enough."""
        self._done += steps
        now = time.monotonic()
        if now - self._said_at < _PLAIN_EVERY_S:
            return
        self._said_at = now
        of_total = f" of {self._total}, {self._left(now)} to go" if self._total else ""
        say(f"{self._what}: {self._done}{of_total}{'  ' + note if note else ''}")

    def say(self, message: str) -> None:
        """Prints the sentence."""
        say(message)

    def _left(self, now: float) -> str:
        left_s = (now - self._began_at) / max(1, self._done) * ((self._total or 0) - self._done)
        return f"{left_s:.0f} s" if left_s < 120 else f"{left_s / 60:.0f} min"
