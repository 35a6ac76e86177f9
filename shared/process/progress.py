"""Showing how far a long command is: on the error output, and only where a person looks on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

# How many are done, of how many.
Progress = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """For callers that do not watch."""


@contextmanager
def bar(title: str) -> Iterator[Progress]:
    """A bar with the time left; nothing where the error output is no terminal.

    The standard output is left to results.
    """
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not console.is_terminal:
        yield no_progress
        return
    with Bar(console=console) as shown:
        task = shown.add_task(title, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
