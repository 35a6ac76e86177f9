"""Whether this machine's clock is kept by NTP or a radio, as the kernel says (adjtimex(2))."""

import ctypes
import sys
from typing import Final

from roommood.deploy.doctor.findings import Finding, ok, skipped, warn

_TIME_ERROR: Final = 5  # "the clock is not synchronised"
_ROOM_FOR_STRUCT_TIMEX: Final = 512


def clock_finding() -> Finding:
    """The aggregator books results by this clock; cameras and workers need none."""
    state = _kernel_state()
    if state is None:
        return skipped("clock", "this system does not tell whether its clock is kept")
    if state == _TIME_ERROR:
        text = "not synchronised: an aggregator here books results at the wrong time of day"
        return warn("clock", text, "timedatectl set-ntp true (cameras and workers need no clock)")
    return ok("clock", "synchronised")


def _kernel_state() -> int | None:
    """What adjtimex answers when it is told to change nothing; None where there is none."""
    if sys.platform != "linux":
        return None
    ask = ctypes.create_string_buffer(_ROOM_FOR_STRUCT_TIMEX)
    state = int(ctypes.CDLL(None).adjtimex(ask))
    return state if state >= 0 else None
