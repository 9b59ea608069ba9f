"""Who does the work, how much of it may wait, and what happens when nobody wants the answer any more.

On a CPU the fastest layout is one thread for each core and one to spare, each taking one image from its bytes to its
answer with a one-thread session; filling batches only adds waiting. What the routes see is `Service.predict`, so
another way of scheduling, such as batches on a GPU, takes this module's place without touching a protocol.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from andon.errors import BadRequest

Result = TypeVar("Result")
RETRY_AFTER_S = 1


def busy(what: str) -> BadRequest:
    """The refusal of work there is no room for."""
    return BadRequest(f"the server is busy: {what}; try again", status=503, code="busy", retry_after_s=RETRY_AFTER_S)


@dataclass(frozen=True, slots=True)
class Done(Generic[Result]):
    """How one task ended.

    Attributes:
        result: what it returned, or the error it raised.
        queued_s: how long it waited for a thread.
    """

    result: Result | Exception
    queued_s: float


@dataclass(eq=False, slots=True)
class _Ticket(Generic[Result]):
    task: Callable[[], Result]
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Done[Result]]"
    came_at: float = field(default_factory=time.perf_counter)

    def perform(self) -> None:
        """Runs the task in this thread and hands its end to the event loop."""
        queued_s = time.perf_counter() - self.came_at
        outcome: Result | Exception
        try:
            outcome = self.task()
        except Exception as error:  # noqa: BLE001 - it is handed to whoever waits, nothing is swallowed
            outcome = error
        done = Done(outcome, queued_s)
        try:
            self.loop.call_soon_threadsafe(self._hand_over, done)
        except RuntimeError:
            return  # the event loop ended before the work did: nobody waits any more

    def _hand_over(self, done: Done[Result]) -> None:
        if not self.future.done():
            self.future.set_result(done)


class WorkPool:
    """A fixed number of threads and a bounded line of tasks before them.

    Args:
        threads: how many tasks run at once.
        max_waiting: how many may wait; a group of tasks is let in whole or refused whole.
    """

    def __init__(self, *, threads: int, max_waiting: int) -> None:
        self.threads = threads
        self.max_waiting = max_waiting
        self._line: deque[_Ticket[object]] = deque()
        self._wake = threading.Condition(threading.Lock())
        self._closed = False
        self._crew = [threading.Thread(target=self._work, name=f"andon-work-{n}", daemon=True) for n in range(threads)]
        for thread in self._crew:
            thread.start()

    @property
    def waiting(self) -> int:
        """Tasks in the line now."""
        return len(self._line)

    async def run(self, tasks: Sequence[Callable[[], Result]], *, timeout_s: float) -> list[Done[Result]]:
        """How each of `tasks` ended, in order.

        A task that is not done after `timeout_s` ends with a 504. When the caller is cancelled, or a task's time is
        up, those that have not begun are taken out of the line; one that has begun runs to its end unheard.

        Raises:
            BadRequest: 503, there is no room for all of them in the line.
        """
        loop = asyncio.get_running_loop()
        tickets = [_Ticket(task, loop, loop.create_future()) for task in tasks]
        self._admit(tickets)
        try:
            await asyncio.wait([ticket.future for ticket in tickets], timeout=timeout_s)
            return [ticket.future.result() if ticket.future.done() else _too_late(timeout_s) for ticket in tickets]
        finally:
            self._withdraw(tickets)

    def close(self) -> None:
        """Ends the threads after the tasks they are at; whatever waits is dropped. May be called again."""
        with self._wake:
            self._closed = True
            self._line.clear()
            self._wake.notify_all()
        for thread in self._crew:
            thread.join()

    def _admit(self, tickets: Sequence[_Ticket[Result]]) -> None:
        with self._wake:
            if self._closed:
                raise BadRequest("the server is stopping", status=503, code="stopping", retry_after_s=RETRY_AFTER_S)
            if len(self._line) + len(tickets) > self.max_waiting:
                raise busy(f"{len(self._line)} images are waiting and at most {self.max_waiting} may")
            self._line.extend(tickets)  # type: ignore[arg-type]  # the line does not care what a task returns
            self._wake.notify(len(tickets))

    def _withdraw(self, tickets: Sequence[_Ticket[Result]]) -> None:
        unwanted = {id(ticket) for ticket in tickets if not ticket.future.done()}
        if not unwanted:
            return
        for ticket in tickets:
            ticket.future.cancel()
        with self._wake:
            kept = [ticket for ticket in self._line if id(ticket) not in unwanted]
            self._line.clear()
            self._line.extend(kept)

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._line and not self._closed:
                    self._wake.wait()
                if self._closed:
                    return
                ticket = self._line.popleft()
            ticket.perform()
            del ticket  # or the last picture would stay in memory until the next one comes


def _too_late(timeout_s: float) -> Done[Result]:
    error = BadRequest(f"no answer within {timeout_s:g} s", status=504, code="deadline", retry_after_s=RETRY_AFTER_S)
    return Done(error, timeout_s)


class ByteBudget:
    """How many bytes of request bodies may lie in memory at once. Used from the event loop only.

    Args:
        limit: the bytes in all.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def take(self, count: int) -> None:
        """Counts `count` more bytes.

        Raises:
            BadRequest: 503, they do not fit.
        """
        if self.held + count > self.limit:
            raise busy(
                f"{self.held / 2**20:.0f} MB of pictures are in memory and at most {self.limit / 2**20:g} MB may"
            )
        self.held += count

    def give_back(self, count: int) -> None:
        """Counts `count` bytes less."""
        self.held -= count
