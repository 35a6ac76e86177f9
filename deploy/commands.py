"""What the installed commands run.

A command is interrupted while it loads as any program is that has not begun: at once, without a
traceback. Nothing is imported here that takes time.
"""

import signal
import sys
from importlib import import_module


def roommood() -> None:
    """`roommood`."""
    _run("roommood.deploy.cli")


def camera_node() -> None:
    """`camera-node`."""
    _run("roommood.camera_node.cli")


def inference_worker() -> None:
    """`inference-worker`."""
    _run("roommood.inference_worker.cli")


def aggregator() -> None:
    """`aggregator`."""
    _run("roommood.aggregator.cli")


def roommood_train() -> None:
    """`roommood-train`."""
    _run("roommood.training.cli")


def _run(module: str) -> None:
    if sys.platform == "win32":
        sys.exit("error: roommood runs on Linux and macOS: on Windows start it in WSL 2")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # it may be ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    main = import_module(module).main
    main()
