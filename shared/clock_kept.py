"""Whether this machine's clock is kept by NTP or a radio, as the kernel says (adjtimex(2))."""

import ctypes
import sys
from typing import Final

_TIME_ERROR: Final = 5  # "the clock is not synchronised"
_ROOM_FOR_STRUCT_TIMEX: Final = 512


def is_clock_kept() -> bool | None:
    """None where the system does not tell."""
    state = _kernel_state()
    return None if state is None else state != _TIME_ERROR


def _kernel_state() -> int | None:
    """What adjtimex answers when it is told to change nothing; None where there is none."""
    if sys.platform != "linux":
        return None
    ask = ctypes.create_string_buffer(_ROOM_FOR_STRUCT_TIMEX)
    state = int(ctypes.CDLL(None).adjtimex(ask))
    return state if state >= 0 else None
