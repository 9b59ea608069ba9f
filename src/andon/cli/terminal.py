"""The progress bar of a terminal."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress


class TerminalProgress:
    """One bar at a time with elapsed and remaining time; remarks scroll by above it."""

    def __init__(self) -> None:
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("eta"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
        )
        self._bar.start()
        self._task: TaskID | None = None

    def start(self, what: str, total: int | None) -> None:
        """Ends the last bar and begins a new one."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(what, total=total, note="")

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Moves the bar."""
        if self._task is not None:
            self._bar.update(self._task, advance=steps, note=note)

    def say(self, message: str) -> None:
        """Prints the sentence above the bar."""
        self._bar.console.print(message, markup=False, highlight=False)

    def close(self) -> None:
        """Takes the bar off the screen."""
        self._bar.stop()
