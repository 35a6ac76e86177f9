"""A site with two of everything that can be doubled, and a seeded nemesis that breaks it."""

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.end_to_end.site import Component, Site, select_for

ROOM = {"a": "den", "b": "den", "c": "hall"}


@dataclass
class House:
    """Two aggregators, two workers, three cameras in two rooms; knows how to start each again."""

    site: Site
    aggregators: list[Component] = field(default_factory=list)
    workers: list[Component] = field(default_factory=list)
    cameras: dict[str, Component] = field(default_factory=dict)
    all_workers: list[Component] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reports = [self.site.address() for _ in range(2)]
        self._frames = [self.site.address() for _ in range(2)]
        self.aggregators = [self.start_aggregator(n) for n in range(2)]
        self.workers = [self.start_worker(n) for n in range(2)]
        for worker in self.workers:
            worker.wait_for("worker ready")
        self.cameras = {name: self.start_camera(name) for name in ROOM}

    def start_aggregator(self, number: int) -> Component:
        return self.site.aggregator(self._reports[number])

    def start_worker(self, number: int) -> Component:
        cheap = ("--input-size", "320", "--min-frame-ms", "60", "--drain-s", "30")
        worker = self.site.start_worker(self._frames[number], " ".join(self._reports), *cheap)
        self.all_workers.append(worker)
        return worker

    def start_camera(self, name: str) -> Component:
        who = (name, ROOM[name], "simulated", self._frames[0])
        return self.site.camera(*who, "--rate-hz", "8")

    def stop(self) -> list[int]:
        """Ends all in the order of the flow; returns their exit codes."""
        flow = [*self.cameras.values(), *self.workers, *self.aggregators]
        return [component.stop() for component in flow]


class Nemesis:
    """Does one thing after another, the same ones for the same seed; `done` tells which."""

    def __init__(self, house: House, seed: int) -> None:
        self._house = house
        self._random = random.Random(seed)
        self.done: list[str] = []

    def rage(self, seconds: float) -> None:
        deeds: list[Callable[[], None]] = [
            self.kill_worker,
            self.kill_aggregator,
            self.kill_redis,
            self.kill_camera,
            self.freeze_worker,
            self.freeze_aggregator,
        ]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._pause(0.5, 2.0)
            deed = self._random.choice(deeds)
            self.done.append(deed.__name__)
            deed()

    def kill_worker(self) -> None:
        number = self._random.randrange(2)
        self._house.workers[number].kill()
        self._pause(0.0, 2.0)
        self._house.workers[number] = self._house.start_worker(number)

    def kill_aggregator(self) -> None:
        number = self._random.randrange(2)
        self._house.aggregators[number].kill()
        self._pause(0.0, 2.0)
        self._house.aggregators[number] = self._house.start_aggregator(number)

    def kill_redis(self) -> None:
        self._house.site.redis.kill()
        self._pause(0.0, 4.0)
        self._house.site.redis.start()

    def kill_camera(self) -> None:
        name = self._random.choice(list(ROOM))
        self._house.cameras[name].kill()
        self._house.cameras[name] = self._house.start_camera(name)

    def freeze_worker(self) -> None:
        self._freeze(self._random.choice(self._house.workers))

    def freeze_aggregator(self) -> None:
        self._freeze(self._random.choice(self._house.aggregators))

    def _freeze(self, component: Component) -> None:
        component.signal(signal.SIGSTOP)
        self._pause(0.5, 4.0)
        component.signal(signal.SIGCONT)

    def _pause(self, least_s: float, most_s: float) -> None:
        select_for(self._random.uniform(least_s, most_s))
