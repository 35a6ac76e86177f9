"""Fetching a pinned file: resumed where it broke off, in place only once its hash is right."""

import contextlib
import fcntl
import hashlib
import http.client
import os
import re
import sys
from collections.abc import Callable, Iterator
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


def fetch(download: Download, progress: Progress) -> None:
    """Fetch a file, going on from what an earlier attempt left.

    The target appears whole or not at all. Raises ModelError: offline, refused, broken off
    (what came stays for the next attempt), or other bytes than were pinned (they are removed).
    """
    try:
        download.target.parent.mkdir(parents=True, exist_ok=True)
        with _alone_in(download.target.parent):
            if _is_there(download):
                return
            if _size(download.part) < download.size:
                _receive(download, progress)
            _check(download)
            download.part.replace(download.target)
    except HTTPError as error:
        raise ModelError(_refusal(download, error)) from error
    except (URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise ModelError(_outage(download, error)) from error
    except OSError as error:
        raise ModelError(f"{download.part}: cannot be written: {error}") from error


def sha256_of(path: Path) -> str:
    """Of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Of two that fetch at once the second waits, where the file system has locks."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write(f"note: waits for another pull into {folder}{_holder(descriptor)}\n")
        sys.stderr.flush()
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _holder(descriptor: int) -> str:
    """Whom it waits for, where the system tells."""
    try:
        locks = Path("/proc/locks").read_text(encoding="utf-8")
    except OSError:
        return ""
    held = re.search(rf"FLOCK +\w+ +WRITE +(\d+) \S+:{os.fstat(descriptor).st_ino} ", locks)
    return f" (process {held[1]})" if held else ""


def _is_there(download: Download) -> bool:
    """Whether another has fetched it meanwhile."""
    return download.target.is_file() and sha256_of(download.target) == download.sha256


def _receive(download: Download, progress: Progress) -> None:
    there = _size(download.part)
    with _open(download.url, there) as answer:
        start = _start(answer, download, there)
        with download.part.open("r+b" if start else "wb") as part:
            part.seek(start)
            _copy(answer, part, download, start, progress)


def _open(url: str, start: int) -> Any:
    headers = {"User-Agent": "roommood", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    return urlopen(Request(url, headers=headers), timeout=_TIMEOUT_S)


def _start(answer: Any, download: Download, there: int) -> int:
    """From which byte on the answer is: a server may ignore the wish to resume."""
    if answer.status != _PARTIAL_CONTENT:
        _check_offer(answer, download)
        return 0
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != there:
        download.part.unlink(missing_ok=True)
        raise ModelError(
            f"{download.url}: asked to go on from byte {there}, it answered "
            f"{answer.headers.get('Content-Range')!r}: pull again to start anew"
        )
    return there


def _check_offer(answer: Any, download: Download) -> None:
    offered = answer.headers.get("Content-Length")
    if offered is not None and offered != str(download.size):
        raise ModelError(
            f"{download.url}: it offers {offered} bytes, {download.size} are due: "
            "this is not the pinned file (a proxy's page, perhaps)"
        )


def _copy(answer: Any, part: Any, download: Download, start: int, progress: Progress) -> None:
    """Never more than the size that is due, whatever the server sends."""
    there = start
    progress(there, download.size)
    while there < download.size:
        chunk = answer.read(min(_CHUNK_BYTES, download.size - there))
        if not chunk:
            raise ConnectionError(f"the connection closed after {there} of {download.size} bytes")
        part.write(chunk)
        there += len(chunk)
        progress(there, download.size)
    part.flush()
    os.fsync(part.fileno())


def _check(download: Download) -> None:
    digest = sha256_of(download.part)
    if digest != download.sha256:
        download.part.unlink()
        raise ModelError(
            f"{download.url}: the SHA-256 of what came is {digest}, {download.sha256} is due: "
            "removed; pull again, and if it persists do not use that source"
        )


def _refusal(download: Download, error: HTTPError) -> str:
    if error.code == _RANGE_NOT_SATISFIABLE:
        download.part.unlink(missing_ok=True)
        return f"{download.url}: the server cannot resume: pull again to start anew"
    return (
        f"{download.url}: the server answers {error.code} {error.reason}: "
        "the file may have moved; get it elsewhere and give its path"
    )


def _outage(download: Download, error: Exception) -> str:
    host = urlsplit(download.url).netloc
    reason = getattr(error, "reason", None) or error
    there = _size(download.part)
    kept = f" ({there} of {download.size} bytes are kept)" if there else ""
    return (
        f"{host} cannot be reached or broke off: {reason}{kept}: pull again when online, "
        f"or fetch {download.url} elsewhere and put it at {download.target}"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
