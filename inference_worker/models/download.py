"""Fetching a pinned file: resumed where it broke off, in place only once its hash is right."""

import hashlib
import http.client
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from roommood.shared.errors import ModelError

# How many bytes are there, of how many.
Progress = Callable[[int, int], None]

_CHUNK_BYTES: Final = 64 * 1024
_TIMEOUT_S: Final = 30.0
_PARTIAL_CONTENT: Final = 206
_RANGE_NOT_SATISFIABLE: Final = 416


@dataclass(frozen=True, slots=True)
class Download:
    """What is to be fetched, where from and where to."""

    url: str
    size: int
    sha256: str
    target: Path

    @property
    def part(self) -> Path:
        """Holds what has come so far."""
        return self.target.with_name(self.target.name + ".part")


def fetch(wanted: Download, progress: Progress) -> None:
    """Fetch a file, going on from what an earlier attempt left.

    The target appears whole or not at all. Raises ModelError: offline, refused, broken off
    (what came stays for the next attempt), or other bytes than were pinned (they are removed).
    """
    try:
        wanted.target.parent.mkdir(parents=True, exist_ok=True)
        if _size(wanted.part) < wanted.size:
            _receive(wanted, progress)
        _check(wanted)
        wanted.part.replace(wanted.target)
    except HTTPError as error:
        raise ModelError(_refusal(wanted, error)) from error
    except (URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise ModelError(_outage(wanted, error)) from error
    except OSError as error:
        raise ModelError(f"{wanted.part}: cannot be written: {error}") from error


def sha256_of(path: Path) -> str:
    """Of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _receive(wanted: Download, progress: Progress) -> None:
    there = _size(wanted.part)
    with _open(wanted.url, there) as answer:
        start = _start(answer, wanted, there)
        with wanted.part.open("r+b" if start else "wb") as part:
            part.seek(start)
            _copy(answer, part, wanted, start, progress)


def _open(url: str, start: int) -> Any:
    headers = {"User-Agent": "roommood", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    return urlopen(Request(url, headers=headers), timeout=_TIMEOUT_S)


def _start(answer: Any, wanted: Download, there: int) -> int:
    """From which byte on the answer is: a server may ignore the wish to resume."""
    if answer.status != _PARTIAL_CONTENT:
        _check_offer(answer, wanted)
        return 0
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != there:
        wanted.part.unlink(missing_ok=True)
        raise ModelError(
            f"{wanted.url}: asked to go on from byte {there}, it answered "
            f"{answer.headers.get('Content-Range')!r}: pull again to start anew"
        )
    return there


def _check_offer(answer: Any, wanted: Download) -> None:
    offered = answer.headers.get("Content-Length")
    if offered is not None and offered != str(wanted.size):
        raise ModelError(
            f"{wanted.url}: it offers {offered} bytes, {wanted.size} are due: "
            "this is not the pinned file (a proxy's page, perhaps)"
        )


def _copy(answer: Any, part: Any, wanted: Download, start: int, progress: Progress) -> None:
    """Never more than the size that is due, whatever the server sends."""
    there = start
    progress(there, wanted.size)
    while there < wanted.size:
        chunk = answer.read(min(_CHUNK_BYTES, wanted.size - there))
        if not chunk:
            raise ConnectionError(f"the connection closed after {there} of {wanted.size} bytes")
        part.write(chunk)
        there += len(chunk)
        progress(there, wanted.size)
    part.flush()
    os.fsync(part.fileno())


def _check(wanted: Download) -> None:
    found = sha256_of(wanted.part)
    if found != wanted.sha256:
        wanted.part.unlink()
        raise ModelError(
            f"{wanted.url}: the SHA-256 of what came is {found}, {wanted.sha256} is due: "
            "removed; pull again, and if it persists do not use that source"
        )


def _refusal(wanted: Download, error: HTTPError) -> str:
    if error.code == _RANGE_NOT_SATISFIABLE:
        wanted.part.unlink(missing_ok=True)
        return f"{wanted.url}: the server cannot resume: pull again to start anew"
    return (
        f"{wanted.url}: the server answers {error.code} {error.reason}: "
        "the file may have moved; get it elsewhere and give its path"
    )


def _outage(wanted: Download, error: Exception) -> str:
    host = urlsplit(wanted.url).netloc
    reason = getattr(error, "reason", None) or error
    there = _size(wanted.part)
    kept = f" ({there} of {wanted.size} bytes are kept)" if there else ""
    return (
        f"{host} cannot be reached or broke off: {reason}{kept}: pull again when online, "
        f"or fetch {wanted.url} elsewhere and put it at {wanted.target}"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
