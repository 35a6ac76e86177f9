"""Whatever one key does, the other rooms' figures are those of a site without it, and Redis holds
less than 16 MB more."""

import dataclasses
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from roommood.aggregator.redis.keys import RESOLUTIONS
from roommood.shared.clock import boot_ms
from roommood.shared.protocol import wire
from roommood.shared.protocol.limits import (
    MAX_FACES,
    MAX_INTERVAL_US,
    MAX_RESULTS_PER_REPORT,
    SEEN_BITS,
)
from roommood.shared.protocol.messages import (
    CameraHealth,
    CameraReport,
    ModelReport,
    Report,
    Result,
    TicketedResult,
)
from roommood.shared.security.keys import fingerprint
from tests.end_to_end.site import PATIENCE_S, select_for, until
from tests.hostile.floods_rows import FakeWorker
from tests.hostile.target import Target, a_target
from tests.rows import Outcome, Row, Trial
from tests.shared import made

MOST_MB: Final = 16.0
# From a frame until it is known to be counted, looked at each tenth of a second: this, or so many
# times as long as without the attacker, on a machine that is busy with others.
SLOWEST_S: Final = PATIENCE_S / 12
SLOWER: Final = 20.0
ROOMS: Final = ("kitchen", "hall")
_STOLEN: Final = fingerprint("a stolen camera's public key")
_EVERY_S: Final = 0.1
# Half of the time between two frames: however they are spread, no bucket is ever full.
_INTERVAL_US: Final = 50_000
_FACES: Final = (made.face(), made.face(sure=False))
_MANY: Final = tuple(made.face(size=n % 4) for n in range(MAX_FACES))
Reports = Iterator[Report]


# The attackers


def by_a_cameras_key(worker_id: str) -> Reports:
    """What a worker relays for one camera: leaps, invented sessions, five seconds a frame."""
    seq = itertools.count()
    for n in itertools.count():
        faces = _MANY if n % 50 == 0 else ()
        rows = [
            made.result(
                number * SEEN_BITS if number % 2 else 0, *faces, camera="thief", room="den",
                session_id="leaps" if number % 2 else f"session-{number}",
                interval_us=MAX_INTERVAL_US, key=_STOLEN,
            )
            for number in itertools.islice(seq, 8 if faces else MAX_RESULTS_PER_REPORT)
        ]  # fmt: skip
        yield _report(worker_id, rows)


def by_the_workers_key(worker_id: str) -> Reports:
    """Rooms, cameras, keys, models and workers that nobody has."""
    for n in itertools.count():
        rows = [
            made.result(
                0, made.face(size=k % 4), camera=f"cam-{k}-{n}", room=f"room-{k % 64}-{n}",
                model=f"net-{k}-{n}", key=fingerprint(f"{k}-{n}"), interval_us=MAX_INTERVAL_US,
            )
            for k in range(MAX_RESULTS_PER_REPORT)
        ]  # fmt: skip
        cameras = tuple(
            CameraReport(
                f"cam-{k}-{n}", "den", "b00t", "1", 0.0, 10.0, 640, 480, CameraHealth(),
                {f"refused-{reason}": 1.0 for reason in range(100)},
            )
            for k in range(100)
        )  # fmt: skip
        models = tuple(ModelReport(f"net-{k}-{n}", ("neutral",), 1.0, _CONFUSION) for k in range(4))
        plain = _report(f"{worker_id}-{n % 300}", rows)
        yield dataclasses.replace(
            plain, address=f"tcp://10.0.0.1:{n % 60_000 + 1}", cameras=cameras, models=models,
            health={f"number-{k}": 1.0 for k in range(100)},
        )  # fmt: skip


_CONFUSION: Final = {
    size: {kind: [[0.125] * 8] * 8 for kind in ("hard", "soft")} for size in ("tiny", "small")
}


def _report(worker_id: str, results: list[Result]) -> Report:
    rows = tuple(TicketedResult(n, 0.0, result) for n, result in enumerate(results))
    return Report(worker_id, "", boot_ms(), results=rows)


class Attacker(threading.Thread):
    """Says what it is given as fast as it is taken, over eight connections in turn."""

    def __init__(self, target: Target, reports: Callable[[str], Reports]) -> None:
        super().__init__(daemon=True)
        self._target, self._reports = target, reports
        self._stopping = threading.Event()
        self.results_sent = 0

    def run(self) -> None:
        workers = [FakeWorker(self._target, f"liar-{n}") for n in range(8)]
        try:
            for worker, report in zip(itertools.cycle(workers), self._reports("liar")):
                if self._stopping.is_set():
                    return
                worker.offer(wire.encode_report(dataclasses.replace(report, sent_ms=boot_ms())))
                worker.hear(0)
                self.results_sent += len(report.results)
        finally:
            for worker in workers:
                worker.close()

    def stop(self) -> None:
        self._stopping.set()
        self.join(20)


# The others


class Honest:
    """A worker that reports ten frames a second of two rooms, and again what is not settled."""

    def __init__(self, target: Target) -> None:
        self._worker = FakeWorker(target, "honest")
        self._waiting: dict[int, tuple[float, Result]] = {}
        self._told_ms: dict[int, float] = {}
        self._next = 0
        self.slowest_s = 0.0

    def frame(self) -> None:
        for room in ROOMS:
            shown = made.result(
                self._next, *_FACES, camera=f"{room}-1", room=room, interval_us=_INTERVAL_US,
                key=fingerprint(room),
            )  # fmt: skip
            self._waiting[self._next] = (boot_ms(), shown)
            self._next += 1
        self.say()

    def say(self) -> None:
        """What is new, and what was said two seconds ago and is not settled."""
        self._worker.hear(0)
        now_ms = boot_ms()
        for ticket in [t for t, how in self._worker.settled.items() if how != "deferred"]:
            if ticket in self._waiting:
                taken_ms, _ = self._waiting.pop(ticket)
                self.slowest_s = max(self.slowest_s, (now_ms - taken_ms) / 1000)
        due = [t for t in self._waiting if now_ms - self._told_ms.get(t, -1e9) > 2_000]
        rows = [
            TicketedResult(t, now_ms - self._waiting[t][0], self._waiting[t][1]) for t in due[:256]
        ]
        self._told_ms |= dict.fromkeys(due[:256], now_ms)
        self._worker.say(*rows)

    @property
    def counts(self) -> int:
        """Frames of one room."""
        return self._next // len(ROOMS)

    def is_settled(self) -> bool:
        self.say()
        return not self._waiting

    def outcomes(self) -> Counter[str]:
        return Counter(self._worker.settled.values())

    def close(self) -> None:
        self._worker.close()


def _wrong_figures(target: Target, frames: int) -> str:
    """What a room's buckets hold that a site without the attacker would not hold, or lack."""
    for room, span in itertools.product(ROOMS, RESOLUTIONS):
        sums = target.site.buckets(room, span.name)
        camera = f"{room}-1"
        right = {
            f"frames:{camera}": frames,
            f"observed_us:{camera}": frames * _INTERVAL_US,
            f"face_us:{camera}": 2 * frames * _INTERVAL_US,
            f"unsure_us:{camera}": frames * _INTERVAL_US,
        }
        labelled = sum(n for name, n in sums.items() if name.startswith("label_us:"))
        figures = {name: sums.get(name, 0) for name in right}
        if figures != right or labelled != frames * _INTERVAL_US:
            return f"{room} {span.name}: {figures}, labelled {labelled}, not {right}"
    return ""


def _used_mb(target: Target) -> float:
    with target.site.redis.client() as client:
        return float(client.info("memory")["used_memory"]) / (1 << 20)


def _live_people(target: Target) -> list[float]:
    with target.site.redis.client() as client:
        lives = [client.hget(f"roommood:{{{room}}}:live", "people") for room in ROOMS]
    return [float(live) for live in lives if live]


def _row_of(reports: Callable[[str], Reports], *, now_too: bool) -> Callable[[Trial], Outcome]:
    """`now_too`: the others' live figures are as without it; whoever holds the workers' key keeps
    the aggregator busy, so that what the others say waits for some turns."""

    def run(trial: Trial) -> Outcome:
        with a_target(trial.folder, "" if trial.protected else "aggregator:whatever_is_new") as t:
            honest = Honest(t)
            honest.frame()
            until(honest.is_settled, "the honest rooms are counted")
            bar_s = max(SLOWEST_S, SLOWER * honest.slowest_s)
            before_mb, attacker = _used_mb(t), Attacker(t, reports)
            attacker.start()
            end, most_mb, people = time.monotonic() + trial.times, 0.0, list[float]()
            while time.monotonic() < end:
                honest.frame()
                select_for(_EVERY_S)
                most_mb = max(most_mb, _used_mb(t) - before_mb)
                people = _live_people(t)
            attacker.stop()
            began = time.monotonic()
            until(honest.is_settled, "all of the honest rooms is counted", 60.0)
            settled_s, wrong = time.monotonic() - began, _wrong_figures(t, honest.counts)
            trial.note("after", mb=most_mb, people=people, outcomes=honest.outcomes())
            if now_too and people != [2.0, 2.0]:
                wrong = wrong or f"people in the other rooms: {people}"
            if most_mb > MOST_MB:
                wrong = wrong or f"Redis held {most_mb:.0f} MB more"
            honest.close()
            if honest.slowest_s > bar_s:
                wrong = wrong or f"another worker's result took {honest.slowest_s:.1f} s"
            detail = (
                f"{attacker.results_sent:,} results said by it; Redis held {most_mb:.1f} MB more; "
                f"another worker's result counted after {honest.slowest_s:.1f} s at most"
            )
            return Outcome(recovery_s=round(settled_s, 2), wrong=wrong, detail=detail)

    return run


def _row(name: str, what: str, run: Callable[[Trial], Outcome], within_s: float) -> Row:
    return Row(
        name, what, run, "One key", times=60, quick_times=8, control_times=20,
        control="bounds on what is new", recover_within_s=within_s, timeout_s=240,
    )  # fmt: skip


ROWS: Final[tuple[Row, ...]] = (
    _row(
        "one-cameras-key", "a camera's key: leaps, sessions, five seconds a frame; 60 s",
        _row_of(by_a_cameras_key, now_too=True), 5.0,
    ),
    _row(
        "the-workers-key", "the workers' key: invented rooms, cameras, models, workers; 60 s",
        _row_of(by_the_workers_key, now_too=True), 10.0,
    ),
)  # fmt: skip
