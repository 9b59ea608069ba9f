"""Lending a fixed number of things to threads, one each at a time."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from andon.errors import InternalError

Thing = TypeVar("Thing")


class Lanes(Generic[Thing]):
    """As many things as calls may run at once; whoever finds none idle waits.

    The one given back last is lent first: its memory is still in the cache.
    """

    def __init__(self, things: Iterable[Thing]) -> None:
        self._idle = list(things)
        self._count = len(self._idle)
        self._changed = threading.Condition()
        self._closed = False

    @contextmanager
    def borrow(self) -> Iterator[Thing]:
        """One thing for the length of the block.

        Raises:
            InternalError: the lanes are closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._idle)
            if self._closed:
                raise InternalError("this session is closed")
            thing = self._idle.pop()
        try:
            yield thing
        finally:
            with self._changed:
                self._idle.append(thing)
                self._changed.notify_all()

    def close(self) -> None:
        """Lends nothing more, waits for what is lent, and lets go of everything."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: len(self._idle) == self._count)
            self._idle.clear()
            self._count = 0
