"""Services of Apprise that are told: webhooks, ntfy, mail and others, by their addresses.

An address may hold a token: neither it nor what a library says of it stands in a log or an error.
"""

from pathlib import Path
from typing import Final

from roommood.aggregator.notify.delivery import WITHIN_S, deliver, service_of
from roommood.aggregator.notify.message import Send
from roommood.shared.errors import ConfigError
from roommood.shared.security.private_file import read_private

_MOST_BYTES: Final = 65_536
_MOST_SERVICES: Final = 16


def services(urls_file: Path, within_s: float = WITHIN_S) -> list[tuple[str, Send]]:
    """Each with its name in logs; a message may take so many seconds. Raises ConfigError where the
    file cannot be used."""
    lines = [(n, line.strip()) for n, line in enumerate(read_urls(urls_file).splitlines(), 1)]
    lines = [(n, url) for n, url in lines if url and not url.startswith("#")]
    if not 1 <= len(lines) <= _MOST_SERVICES:
        raise ConfigError(f"{urls_file} has {len(lines)} addresses: give 1 to {_MOST_SERVICES}")
    return [
        (f"line {n} ({url.partition(':')[0]})", _service(urls_file, n, url, within_s))
        for n, url in lines
    ]


def read_urls(path: Path) -> str:
    """Text of a file of addresses. Raises ConfigError where others can read it."""
    return read_private(path, _MOST_BYTES, "an address of Apprise on each line")


def _service(path: Path, line: int, url: str, within_s: float) -> Send:
    if service_of(url) is None:
        raise ConfigError(
            f"{path}, line {line}: Apprise does not know such an address: write for example "
            "jsons://HOST/PATH (a webhook) or ntfys://HOST/TOPIC"
        )
    return lambda message: deliver(url, message, within_s)
