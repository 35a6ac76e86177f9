"""Showing how far a long command is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

# How many are done, of how many.
Progress = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """For callers that do not watch."""


@contextmanager
def bar(title: str) -> Iterator[Progress]:
    """A bar on the error output, which leaves the standard output to results."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True)) as shown:
        task = shown.add_task(title, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
