"""Aggregators that do not know what time it is: nothing counts twice, nothing old looks new."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final

import zmq

from roommood.aggregator.redis.keys import RESOLUTIONS
from roommood.shared.clock import boot_ms
from roommood.shared.protocol import wire
from roommood.shared.protocol.messages import Report, Result, TicketedResult
from tests.end_to_end.site import until
from tests.faults.plant import AGGREGATOR, FaultSite, merged
from tests.rows import Outcome, Row, Trial
from tests.shared import made

_ROOM: Final = "den"
# Adds to the wall clock of an aggregator what a file says, in seconds: `{folder}/clock-HOST:PORT`.
_SHIFTED: Final = """
import sys, time
from pathlib import Path
_real_time = time.time
_shift = Path({folder!r}) / ("clock-" + sys.argv[sys.argv.index("--bind") + 1])
time.time = lambda: _real_time() + float(_shift.read_text())
"""
# No clock is compared; seen bits end by the aggregator's clock; what is of the future stays.
_BELIEVED: Final = """
from roommood.aggregator.counting.clock_guard import ClockGuard
from roommood.aggregator.counting.store import Store
ClockGuard.may_count = lambda self: True
_made = Store.__init__
def _make(self, *given):
    _made(self, *given)
    script = self._script
    for line, instead in (
        ("redis.call('EXPIRE', KEYS[first_seen + bitmap], arg.seen_ttl_s)",
         "redis.call('EXPIREAT', KEYS[first_seen + bitmap], "
         "floor(now_ms / 1000) + arg.seen_ttl_s)"),
        ("if camera.t <= now_ms + arg.live_max_age_ms then", "if true then"),
    ):
        assert line in script, line
        script = script.replace(line, instead)
    import hashlib
    self._script = script
    for name in ("_sha", "_digest"):
        if hasattr(self, name):
            setattr(self, name, hashlib.sha1(script.encode()).hexdigest())
Store.__init__ = _make
"""


class Teller:
    """A worker's socket to one aggregator, whose clock this test sets."""

    def __init__(self, site: FaultSite, name: str, shift_s: float) -> None:
        self.bind = site.address()
        self._clock = site.folder / f"clock-{self.bind}"
        self.set_clock(shift_s)
        self.aggregator = site.start_aggregator(self.bind)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.connect(f"tcp://{self.bind}")
        self._name, self._ticket = name, 0
        # One that counts nothing is not ready.
        lines = ("aggregator ready", "clock wrong, nothing is counted")
        until(lambda: any(map(self.aggregator.lines, lines)), "it has compared its clock")

    def __enter__(self) -> "Teller":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._context.destroy(0)

    def set_clock(self, shift_s: float) -> None:
        new = Path(f"{self._clock}.new")
        new.write_text(str(shift_s))
        new.rename(self._clock)

    def tell(self, result: Result, patience_s: float = 2.0) -> str:
        """What becomes of a result: committed, duplicate, refused and why; "" if it is not said."""
        self._ticket += 1
        row = TicketedResult(self._ticket, 10.0, result)
        self._socket.send(wire.encode_report(Report(self._name, "", boot_ms(), results=(row,))))
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            if self._socket.poll(100):
                ack = wire.decode_ack(self._socket.recv())
                settled = dict.fromkeys(ack.committed, "committed")
                settled |= dict.fromkeys(ack.duplicate, "duplicate") | dict(ack.refused)
                if self._ticket in settled:
                    return settled[self._ticket]
        return ""


def _site(trial: Trial) -> FaultSite:
    shifted = {AGGREGATOR: _SHIFTED.format(folder=str(trial.folder))}
    return FaultSite(
        trial.folder, merged(shifted, {} if trial.protected else {AGGREGATOR: _BELIEVED})
    )


def _result(seq: int, faces: int = 1, expression: int = 0) -> Result:
    probabilities = tuple(float(n == expression) for n in range(8))
    shown = [made.face(probabilities=probabilities)] * faces
    return made.result(seq, *shown, room=_ROOM, interval_us=100_000)


def _counted(site: FaultSite) -> int:
    """Frames in the span that counts most of them."""
    return max(
        sum(n for name, n in site.buckets(_ROOM, span.name).items() if name.startswith("frames:"))
        for span in RESOLUTIONS
    )


def _counts_once_right(teller: Teller, seq: int) -> float:
    """Seconds until an aggregator whose clock is set right counts a result."""
    began = time.monotonic()
    tell = partial(teller.tell, _result(seq))
    until(lambda: tell() in ("committed", "duplicate"), "it counts with a right clock", 20.0)
    return time.monotonic() - began


def slow_by_a_day(trial: Trial) -> Outcome:
    """Two aggregators, one 25 h slow; each of two results comes several times."""
    with (
        _site(trial) as site,
        Teller(site, "one", 0.0) as right,
        Teller(site, "two", -25 * 3600.0) as slow,
    ):
        heard = [right.tell(_result(1)), right.tell(_result(1)), slow.tell(_result(2))]
        heard += [right.tell(_result(1)), slow.tell(_result(2))]
        trial.note("said", said=heard)
        wrong = "" if heard == ["committed", "duplicate", "", "duplicate", ""] else f"said {heard}"
        if not slow.aggregator.lines("clock wrong, nothing is counted"):
            wrong = wrong or "the slow one does not say so"
        slow.set_clock(0.0)
        right_s = _counts_once_right(slow, 2)
        return Outcome(doubled=max(0, _counted(site) - 2), recovery_s=right_s, wrong=wrong)


def set_back_by_an_hour(trial: Trial) -> Outcome:
    """An aggregator an hour ahead hears of three faces; its clock is set right; then of one."""
    with _site(trial) as site, Teller(site, "one", 3600.0) as teller:
        ahead = [teller.tell(_result(n, faces=3, expression=4), 0.5) for n in range(4)]
        teller.set_clock(0.0)
        right_s = _counts_once_right(teller, 100)
        for n in range(5):
            teller.tell(_result(101 + n, expression=1))
        with site.redis.client() as client:
            live = client.hgetall(f"roommood:{{{_ROOM}}}:live")
        off_s = float(live["captured_ms"]) / 1000 - time.time()
        trial.note("live", live=live, ahead=ahead)
        wrong = "" if abs(off_s) < 5 else f"the live hash is of {off_s:.0f} s ahead"
        wrong = wrong or ("" if float(live["people"]) == 1.0 else f"{live['people']} people")
        return Outcome(recovery_s=right_s, wrong=wrong)


def _row(name: str, what: str, run: Callable[[Trial], Outcome]) -> Row:
    return Row(name, what, run, group="Time", control="Redis' clock", recover_within_s=5.0)


ROWS: Final[tuple[Row, ...]] = (
    _row("aggregator-clock-slow", "one of two aggregators is 25 h slow", slow_by_a_day),
    _row(
        "aggregator-clock-set-back", "an aggregator's clock is set back by an hour",
        set_back_by_an_hour,
    ),
)  # fmt: skip
