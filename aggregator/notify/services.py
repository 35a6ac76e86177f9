"""Services of Apprise that are told: webhooks, ntfy, mail and others, by their addresses.

An address may hold a token: neither it nor what a library says of it stands in a log or an error.
"""

import logging
import re
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from roommood.aggregator.notify.message import Message, Send
from roommood.shared.errors import ConfigError
from roommood.shared.security.private_file import read_private

_MOST_BYTES: Final = 65_536
_MOST_SERVICES: Final = 16
_LIBRARY: Final = "apprise"
# Their lines quote addresses.
_TALKATIVE: Final = ("urllib3", "requests")
_TRUST: Final = "set REQUESTS_CA_BUNDLE to a file with that of the authority that signed it"
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
)
_STATUS: Final = re.compile(r"error=(\d{3})\b")
_lines: ContextVar[list[str] | None] = ContextVar("lines of the message being sent", default=None)


def services(urls_file: Path) -> list[tuple[str, Send]]:
    """Each with its name in logs. Raises ConfigError where the file cannot be used."""
    lines = [(n, line.strip()) for n, line in enumerate(read_urls(urls_file).splitlines(), 1)]
    lines = [(n, url) for n, url in lines if url and not url.startswith("#")]
    if not 1 <= len(lines) <= _MOST_SERVICES:
        raise ConfigError(f"{urls_file} has {len(lines)} addresses: give 1 to {_MOST_SERVICES}")
    _keep_lines()
    return [
        (f"line {n} ({url.partition(':')[0]})", _service(urls_file, n, url)) for n, url in lines
    ]


def read_urls(path: Path) -> str:
    """Text of a file of addresses. Raises ConfigError where others can read it."""
    return read_private(path, _MOST_BYTES, "an address of Apprise on each line")


def reason(lines: list[str]) -> str:
    """Why a message did not arrive, by what the library wrote of it."""
    text = "\n".join(lines)
    if status := _STATUS.search(text):
        moved = ": write the address to which it redirects" if status[1].startswith("3") else ""
        return f"it answered with status {status[1]}{moved}"
    return next((why for word, why in _REASONS if word in text), "it did not take the message")


class _Lines(logging.Handler):
    """Keeps what the library writes of a message with whoever sends it; nobody else reads it."""

    def emit(self, record: logging.LogRecord) -> None:
        lines = _lines.get()
        if lines is not None:
            lines.append(record.getMessage())


def _keep_lines() -> None:
    library = logging.getLogger(_LIBRARY)
    library.setLevel(logging.DEBUG)
    library.propagate = False
    library.handlers = [_Lines()]
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _service(path: Path, line: int, url: str) -> Send:
    from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType, OverflowMode

    asset = AppriseAsset()
    # Else what redirects is asked for a page, answers with it, and was told nothing.
    asset.http_redirects = False
    service = Apprise(asset=asset)
    if not service.add(url):
        raise ConfigError(
            f"{path}, line {line}: Apprise does not know such an address: write for example "
            "jsons://HOST/PATH (a webhook) or ntfys://HOST/TOPIC"
        )

    if "overflow=" not in url:
        for each in service:
            # Else what is longer than a service takes is refused, again and again.
            each.overflow_mode = OverflowMode.SPLIT

    def send(message: Message) -> str:
        kind = NotifyType.SUCCESS if message.is_good else NotifyType.WARNING
        lines: list[str] = []
        _lines.set(lines)  # the library's threads have it as well
        # Of text the library makes HTML or Markdown where a service wants that, as mail does.
        arrived = service.notify(
            title=message.title,
            body=message.read_now(),
            notify_type=kind,
            body_format=NotifyFormat.TEXT,
        )
        return "" if arrived else reason(lines)

    return send
