"""Real machines take minutes: `make site` runs these tests, `make test` leaves them out."""

import os
import signal
from types import FrameType

if not os.environ.get("ROOMMOOD_TEST_SITE"):
    collect_ignore_glob = ["test_*.py"]


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def pytest_configure() -> None:
    """Whoever ends a run early leaves no machine, bridge or mount behind."""
    if os.environ.get("ROOMMOOD_TEST_SITE"):
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
