"""What all tests start from."""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import hypothesis
import pytest

HERE = Path(__file__).parent
# Where most tests start processes of ours, brokers or browsers. `--quick` leaves these out whole,
# and elsewhere skips the few tests that do.
PROCESSES = (
    "aggregator/dashboard", "aggregator/mqtt", "aggregator/notify/test_notifier.py",
    "aggregator/notify/test_services.py",
    "aggregator/redis/test_cluster.py", "aggregator/redis/test_failover.py",
    "aggregator/stats/test_export.py",
    "aggregator/stats/test_python_page.py", "aggregator/terminal", "benchmarks", "browser",
    "camera_node/preview", "camera_node/sources/network", "deploy", "end_to_end", "faults",
    "home_assistant", "hostile", "inference_worker/models/test_cli.py",
    "inference_worker/test_supervisor.py", "privacy", "shared/process/test_memory.py",
    "shared/process/test_progress.py", "shared/process/test_runtime.py", "shared/test_opencv.py",
    "shared/transport/test_discovery.py", "shared/transport/test_resolver.py",
    "shared/transport/test_sockets.py", "site",
    "test_architecture.py", "test_docs.py", "training",
)  # fmt: skip
# A script's background job starts with SIGINT ignored, and its children would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# So does what is started under nohup with SIGHUP.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# On a machine that does much else an example takes as long as it takes; pytest's timeout bounds it.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.register_profile("slow", deadline=None, max_examples=20)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "any machine"))


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """A command sets logging up for its process, to a stream that ends with its test."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = [handler for handler in root.handlers if handler in handlers]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="only what starts no processes")


def pytest_configure(config: pytest.Config) -> None:
    """`--quick` tries few examples, too, where no other profile is asked for."""
    if not config.getoption("--quick"):
        return
    hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "slow"))
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        sys.addaudithook(_skip_processes)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Under `--quick` the files with processes are not even imported: every worker would."""
    return (config.getoption("--quick") and _starts_processes(collection_path)) or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those with processes first, since they are the longest."""
    items.sort(key=lambda item: not _starts_processes(item.path))


@cache
def _starts_processes(path: Path) -> bool:
    return any(path.is_relative_to(HERE / place) for place in PROCESSES)


def _skip_processes(event: str, arguments: tuple[object, ...]) -> None:
    """A Python takes a second and more to start; a Redis and `openssl` some milliseconds."""
    if event == "subprocess.Popen" and Path(str(arguments[0])).name.startswith("python"):
        pytest.skip("it starts a process")
