"""Which pictures of a stream one worker looks at, and what is counted: in virtual time, with the
worker's own pace, ready queue and repeated looks, and the real models."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from roommood.inference_worker.serving.ledger import Ledger
from roommood.inference_worker.serving.pace import Pace
from roommood.inference_worker.serving.repeats import Repeats
from roommood.inference_worker.serving.sessions import SessionTable
from roommood.inference_worker.vision.analysis import Analysis, Analyzer
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.shared.protocol.messages import Hello

_START_MS = 1_000_000.0


@dataclass
class Counted:
    """What one look after the other adds up to, as the aggregator counts it."""

    observed_s: float = 0.0
    face_s: float = 0.0
    shown_s: list[float] = field(default_factory=lambda: [0.0] * len(EXPRESSIONS))
    looks: int = 0
    repeated: int = 0

    def add(self, analysis: Analysis | None, interval_s: float) -> None:
        """None: a repeated look."""
        self.observed_s += interval_s
        self.looks, self.repeated = self.looks + 1, self.repeated + (analysis is None)
        for face in analysis.faces if analysis else ():
            self.face_s += interval_s
            if face.sure:
                for place, p in enumerate(face.probabilities):
                    self.shown_s[place] += interval_s * p

    @property
    def people(self) -> float:
        return self.face_s / self.observed_s

    def distance(self, other: "Counted") -> float:
        """Total variation between the shares of the two, in percent."""
        mine, theirs = np.array(self.shown_s), np.array(other.shown_s)
        difference = mine / max(mine.sum(), 1e-9) - theirs / max(theirs.sum(), 1e-9)
        return float(np.abs(difference).sum() / 2 * 100)


class PacedStream:
    """One camera at `rate_hz` and one worker that has nothing else to do."""

    def __init__(self, analyzer: Analyzer, jpegs: list[bytes], rate_hz: float) -> None:
        self._analyzer, self._jpegs, self._rate_hz = analyzer, jpegs, rate_hz
        self.analyses = [analyzer.analyze(jpeg) for jpeg in jpegs]

    def every_frame(self) -> Counted:
        counted = Counted()
        for analysis in self.analyses:
            counted.add(analysis, 1 / self._rate_hz)
        return counted

    def looked_at(self, pace: Pace, repeats: Repeats) -> Counted:
        hello = Hello("cam", "room", "b00t", 0, 1, 0, self._rate_hz, 640, 480, 0, _START_MS)
        table, counted, last_ms = SessionTable(Ledger()), Counted(), _START_MS
        session = table.hello(b"id", hello, _START_MS)
        for number, now_ms in self._times():
            table.ready.wake(now_ms)
            if session not in table.ready:
                continue
            table.grant(session, now_ms, pace.next_due_ms(session, now_ms))
            table.receive(session, now_ms)
            gap_ms, last_ms = now_ms - last_ms, now_ms
            pace.came(session, round(gap_ms * 1000), now_ms)
            next_ms = pace.latest_next_ms(session, now_ms)
            reference = repeats.reference(session.empty_look, now_ms, next_ms)
            analysis: Analysis | None = self.analyses[number]
            if reference is not None and self._analyzer.repeats(reference, self._jpegs[number]):
                analysis = None
            table.begin(session, number, now_ms)
            counted.add(analysis, gap_ms / 1000)
            if analysis is not None:
                session.empty_look = repeats.empty_look(analysis.glance, now_ms)
                if pace.seen(session, len(analysis.faces)):
                    table.requeue(session)
        return counted

    def _times(self) -> Iterator[tuple[int, float]]:
        for number in range(len(self._jpegs)):
            yield number, _START_MS + number * 1000.0 / self._rate_hz


def stream_of(
    analyzer: Analyzer, draw: Callable[[int], bytes], seconds: float, rate_hz: float
) -> PacedStream:
    return PacedStream(analyzer, [draw(n) for n in range(round(seconds * rate_hz))], rate_hz)
