"""How this process's C library keeps memory between two frames."""

import contextlib
import ctypes
import mmap
from collections.abc import Iterator
from typing import Final

# Numbers of mallopt's parameters, from <malloc.h>.
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_PERTURB: Final = -6
# Bytes. A decoded 4K picture takes 25 MB; glibc accepts at most 32 MiB for the second.
_KEPT: Final = 64 * 1024 * 1024
_LARGE: Final = 32 * 1024 * 1024
_LARGE_MESSAGE: Final = 1024 * 1024


def resident_bytes() -> int:
    """Memory that this process holds now; 0 where the system does not say, as only Linux does."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * mmap.PAGESIZE
    except (OSError, IndexError, ValueError):
        return 0


def give_back_freed_memory() -> None:
    """What was freed goes back to the system, whatever `keep_freed_memory` says; takes some ms."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


@contextlib.contextmanager
def fill_allotted_memory() -> Iterator[None]:
    """What this process allots meanwhile holds nothing older, where the C library is glibc: each
    byte is 128, or 0 in pages that are new."""
    _set_perturb(127)
    try:
        yield
    finally:
        _set_perturb(0)


def _set_perturb(value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_PERTURB, value)


def give_back_large_messages() -> None:
    """What takes a megabyte or more goes back to the system as soon as it is freed.

    glibc does so by itself until the first is freed, and from then on keeps what is as large.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE_MESSAGE)


def keep_freed_memory() -> None:
    """Freed pictures stay with the process instead of going back to the system.

    glibc gives the end of its heap back as soon as a picture there is freed; the next one then
    faults every page in again: 423 faults, 0.8 of 1.4 ms, for each 640x480 picture that OpenCV
    decodes. At most 64 MB of freed memory are kept. With another C library nothing is done.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, _KEPT)
        mallopt(_MMAP_THRESHOLD, _LARGE)
