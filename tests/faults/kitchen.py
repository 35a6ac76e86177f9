"""The site of the rows about Redis: two rooms, and a Redis to which things are done."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.end_to_end.site import Component, acknowledged, select_for, until
from tests.faults.checker import judge
from tests.faults.plant import (
    CHEAP,
    DURABLE,
    FaultSite,
    Frame,
    at,
    bad_ends,
    first_after,
    first_counted,
    ids,
)
from tests.rows import Outcome, Trial

# What is done to Redis for the n-th time.
Act = Callable[[int], object]


@dataclass
class Kitchen:
    """An aggregator, a worker, and a camera in each of two rooms; `seconds` is a fault's length."""

    site: FaultSite
    seconds: float
    reports: str
    aggregator: Component
    worker: Component
    cameras: list[Component]

    @property
    def workers(self) -> Callable[[], list[Component]]:
        return lambda: [self.worker]

    def load(self) -> None:
        """Waits until results are counted, in both rooms."""
        since = time.time()
        both = {"a", "c"}
        until(lambda: {who for who, _, _ in self.counted(since)} == both, "both count", 90.0)

    def counted(self, since: float = 0.0) -> set[Frame]:
        """Results acknowledged since then."""
        lines = (line for line in self.worker.lines("acknowledged") if at(line) >= since)
        return {ids(line) for line in lines if line["outcome"] in ("committed", "duplicate")}

    def notices(self, since: float) -> None:
        """Waits until the aggregator has said that Redis is lost."""
        first_after(lambda: [self.aggregator], "redis lost", since)

    def back_s(self, healed: float) -> float:
        """From then until a new result is counted."""
        return first_counted(self.workers, healed) - healed

    def outages(
        self, trial: Trial, hurt: Act, heal: Act, *, seconds: float, notices: bool
    ) -> list[float]:
        """Hurts Redis for so long, as often as the trial says; how long each took to get over.

        With `notices` the aggregator must say that Redis is lost.
        """
        backs = []
        for number in range(trial.times):
            self.load()
            began = time.time()
            hurt(number)
            if notices:
                self.notices(began)
            select_for(seconds)
            heal(number)
            backs.append(self.back_s(time.time()))
        return backs

    def settle(self) -> list[str]:
        """Ends all in the order of the flow; what was not as it should be."""
        flow = [*self.cameras, self.worker, self.aggregator]
        wrong = bad_ends([component.stop() for component in flow])
        analysed = {ids(line) for line in self.worker.lines("analysed")}
        missing = analysed - acknowledged([self.worker])
        return wrong + ([f"{len(missing)} results were never counted"] if missing else [])

    def judged(self, backs: Sequence[float], wrong: Sequence[str], detail: str = "") -> Outcome:
        verdict = judge(self.site)
        return verdict.outcome(recovery_s=max(backs), wrong="; ".join(wrong), detail=detail)


@contextmanager
def kitchen(
    trial: Trial,
    control: dict[str, str],
    *options: str,
    redis: Mapping[str, str] = DURABLE,
    away: bool = False,
    server: Any = None,
) -> Iterator[Kitchen]:
    """`options` are the aggregator's, `redis` those of Redis; with `away` it is not there when
    the aggregator starts. `server` is more than a single Redis: it has `url`, `client` and `start`.
    """
    site = FaultSite(trial.folder, {} if trial.protected else control, **redis)
    if server is not None:
        site.redis = server
    with site:
        if away:
            site.redis.stop()
        reports, frames = site.address(), site.address()
        aggregator = (site.start_aggregator if away else site.aggregator)(reports, *options)
        worker = site.worker(frames, reports, *CHEAP)
        cameras = [
            site.camera(name, room, "simulated", frames, "--rate-hz", "8")
            for name, room in (("a", "den"), ("c", "hall"))
        ]
        yield Kitchen(site, 2.0 if trial.quick else 10.0, reports, aggregator, worker, cameras)
