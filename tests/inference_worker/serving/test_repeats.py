"""For how long a picture of an empty room may stand for others. Time is simulated."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest

from roommood.inference_worker.serving.ledger import Ledger
from roommood.inference_worker.serving.pace import Pace
from roommood.inference_worker.serving.repeats import EmptyLook, Repeats
from roommood.inference_worker.serving.sessions import SessionTable
from roommood.shared.protocol.messages import Hello

START = 1_000_000.0
HOLD_MS = 2_000.0
GLANCE = np.zeros((60, 80), np.uint8)


def test_without_an_empty_look_there_is_nothing_to_repeat() -> None:
    assert Repeats(HOLD_MS).reference(None, START, START + 500) is None


def test_an_empty_look_stands_while_the_next_look_still_comes_in_time() -> None:
    repeats, last = Repeats(HOLD_MS), EmptyLook(GLANCE, START)
    assert repeats.reference(last, START + 1_500, START + 2_000) is GLANCE
    assert repeats.reference(last, START + 1_500, START + 2_001) is None


def test_an_older_picture_that_comes_late_is_looked_at() -> None:
    assert Repeats(HOLD_MS).reference(EmptyLook(GLANCE, START), START - 1, START + 500) is None


def test_a_look_that_showed_somebody_is_not_kept_nor_any_where_it_is_switched_off() -> None:
    assert Repeats(HOLD_MS).empty_look(None, START) is None
    assert Repeats(0.0).empty_look(GLANCE, START) is None


@dataclass
class BlindWorker:
    """A worker to which every glance looks the same, and when it really looked."""

    repeats: Repeats
    rate_hz: float
    pace: Pace = field(default_factory=lambda: Pace(5.0, 2.0))
    looks: list[float] = field(default_factory=list)
    frames: int = 0

    def __post_init__(self) -> None:
        hello = Hello("cam", "room", "b00t", 0, 1, 0, self.rate_hz, 640, 480, 0, START)
        self.table = SessionTable(Ledger())
        self.session = self.table.hello(b"id", hello, START)

    def run(self, for_s: float) -> None:
        last_ms = START
        for tick in range(round(for_s * self.rate_hz)):
            now_ms = START + tick * 1000.0 / self.rate_hz
            self.table.ready.wake(now_ms)
            if self.session in self.table.ready:
                due_ms = self.pace.next_due_ms(self.session, now_ms)
                self.table.grant(self.session, now_ms, due_ms)
                self._take(now_ms, now_ms - last_ms)
                last_ms = now_ms

    def _take(self, now_ms: float, gap_ms: float) -> None:
        session, self.frames = self.session, self.frames + 1
        self.table.receive(session, now_ms)
        self.pace.came(session, round(gap_ms * 1000), now_ms)
        next_ms = self.pace.latest_next_ms(session, now_ms)
        if self.repeats.reference(session.empty_look, now_ms, next_ms) is None:
            self.looks.append(now_ms)
            session.empty_look = self.repeats.empty_look(GLANCE, now_ms)
            self.pace.seen(session, 0)
        self.table.begin(session, "job", now_ms)

    @property
    def longest_ms(self) -> float:
        return max(b - a for a, b in pairwise(self.looks))


@pytest.mark.parametrize("rate_hz", [2.0, 5.0, 10.0, 15.0, 25.0, 30.0, 60.0])
def test_whoever_stays_for_two_seconds_is_looked_at_though_no_glance_shows_them(
    rate_hz: float,
) -> None:
    worker = BlindWorker(Repeats(HOLD_MS), rate_hz)
    worker.run(60.0)
    assert worker.longest_ms <= HOLD_MS


def test_the_control_without_an_end_to_the_hold_misses_them() -> None:
    worker = BlindWorker(Repeats(10_000.0), 30.0)
    worker.run(60.0)
    assert worker.longest_ms > HOLD_MS


def test_of_four_looks_at_an_empty_room_three_are_spared() -> None:
    worker = BlindWorker(Repeats(HOLD_MS), 30.0)
    worker.run(60.0)
    assert len(worker.looks) / worker.frames == pytest.approx(0.25, abs=0.02)
    assert 2.0 <= worker.frames / 60.0 <= 2.2
