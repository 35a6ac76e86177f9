"""One message to one service of Apprise, by a process of its own.

An answer that never ends would fill the notifier's memory, and nothing ends a library's thread.
Here it fills that of a process which may have little, and which ends in time.
"""

import json
import logging
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any, Final

from roommood.aggregator.notify.message import Message

# Seconds for one message, with all of its parts, between which some services want a pause.
WITHIN_S: Final = 120.0
# Of memory, twice what the library takes; macOS keeps no such limit. With the notifier itself,
# three such processes have room in the 512 MB of its service.
_MOST_BYTES: Final = 128 * 2**20
_AT_ONCE: Final = threading.BoundedSemaphore(3)
_LIBRARY: Final = "apprise"
# Their lines quote addresses.
_TALKATIVE: Final = ("urllib3", "requests")
_TRUST: Final = "set REQUESTS_CA_BUNDLE to a file with that of the authority that signed it"
_NOT_TAKEN: Final = "it did not take the message"
# What the library's lines hold where a message did not arrive, and what is told instead of them.
_REASONS: Final = (
    ("certificate has expired", "its certificate has expired"),
    ("certificate is not yet valid", "its certificate does not hold yet: is the clock right?"),
    ("mismatch, certificate is not valid for", "its certificate is for another name"),
    ("CERTIFICATE_VERIFY_FAILED", f"its certificate is not trusted: {_TRUST}"),
    ("WRONG_VERSION_NUMBER", "no TLS there"),
    ("name resolution", "its host has no address"),
    ("Name or service not known", "its host has no address"),
    ("nodename nor servname", "its host has no address"),
    ("No address associated", "its host has no address"),
    ("Connection refused", "connection refused"),
    ("timed out", "no answer in time"),
    ("No route to host", "no way to its host"),
    ("Network is unreachable", "no way to its host"),
    ("Connection reset", "it closed the connection"),
    ("Connection aborted", "it closed the connection"),
    ("raised an exception", "its answer is too long, or no answer of such a service"),
)
_STATUS: Final = re.compile(r"error=(\d{3})\b")
_lines: Final[list[str]] = []


def deliver(url: str, message: Message, within_s: float = WITHIN_S) -> str:
    """Why it did not arrive, "" where it did."""
    content = {
        "url": url,
        "title": message.title,
        "body": message.read_now(),
        "is_good": message.is_good,
        "within_s": within_s,
    }
    with _AT_ONCE, _started() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(content).encode() + b"\n")
            process.stdin.flush()  # and stays open: by its end the process knows of ours
        why = process.stdout.read().decode("utf-8", "replace")
    if process.returncode == -signal.SIGALRM:
        return f"its answer did not end within {within_s:g} s"
    return "" if process.returncode == 0 else why or _NOT_TAKEN


def _started() -> subprocess.Popen[bytes]:
    """Deaf to what ends all processes of a service or a terminal: what is on its way may arrive."""
    command = [sys.executable, "-P", "-m", __name__]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    try:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def service_of(url: str) -> Any:
    """The library's object that sends there; None where it knows no such address. From then on
    what the library writes of it is kept, and reaches no log."""
    from apprise import Apprise, AppriseAsset, OverflowMode

    _keep_lines()
    asset = AppriseAsset()
    # Else what redirects is asked for a page, answers with it, and was told nothing.
    asset.http_redirects = False
    service = Apprise(asset=asset)
    if not service.add(url):
        return None
    if "overflow=" not in url:
        for each in service:
            # Else what is longer than a service takes is refused, again and again.
            each.overflow_mode = OverflowMode.SPLIT
    return service


def reason(lines: list[str]) -> str:
    """Why a message did not arrive, by what the library wrote of it."""
    text = "\n".join(lines)
    if status := _STATUS.search(text):
        moved = ": write the address to which it redirects" if status[1].startswith("3") else ""
        return f"it answered with status {status[1]}{moved}"
    return next((why for word, why in _REASONS if word in text), _NOT_TAKEN)


class _Lines(logging.Handler):
    """Keeps what the library writes; nobody else reads it."""

    def emit(self, record: logging.LogRecord) -> None:
        _lines.append(record.getMessage())


def _keep_lines() -> None:
    library = logging.getLogger(_LIBRARY)
    library.setLevel(logging.DEBUG)
    library.propagate = False
    library.handlers = [_Lines()]
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


# In the process of its own


def main() -> None:
    """Reads what is to be sent, sends it, writes why it did not arrive."""
    content = json.loads(sys.stdin.buffer.readline())
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (_MOST_BYTES, _MOST_BYTES))
    threading.Thread(target=_end_with_notifier, daemon=True).start()
    if why := _send(content):
        sys.stdout.write(why)
        sys.stdout.flush()
    # Threads of the library may still wait for an answer.
    os._exit(1 if why else 0)


def _end_with_notifier() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _send(content: dict[str, Any]) -> str:
    from apprise import NotifyFormat, NotifyType

    service = service_of(content["url"])
    signal.setitimer(signal.ITIMER_REAL, content["within_s"])
    # Of text the library makes HTML or Markdown where a service wants that, as mail does.
    arrived = service.notify(
        title=content["title"],
        body=content["body"],
        notify_type=NotifyType.SUCCESS if content["is_good"] else NotifyType.WARNING,
        body_format=NotifyFormat.TEXT,
    )
    return "" if arrived else reason(_lines)


if __name__ == "__main__":
    main()
