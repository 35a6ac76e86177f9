"""The whole pipeline on one machine: real processes, real sockets, a real Redis of its own."""

import math
import os
import sys
import time
import webbrowser
from contextlib import ExitStack
from datetime import timedelta
from importlib.util import find_spec
from typing import Final

from roommood.aggregator.stats.figures import RoomPeriod
from roommood.aggregator.stats.live import RoomNow
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.deploy.demo.plan import DemoOptions, Plan, make_plan
from roommood.deploy.demo.private_redis import PrivateRedis, find_server, private_folder
from roommood.deploy.demo.processes import Child, Processes, pause
from roommood.deploy.demo.view import DemoView
from roommood.shared.counted import counted
from roommood.shared.errors import ConfigError, RoommoodError, StoreAway
from roommood.shared.process.origin import how_to_install
from roommood.shared.process.runtime import Deadline, Shutdown, shutdown_on_signals

_START_TIMEOUT_S: Final = 90.0
_REFRESH_S: Final = 0.5
# Seconds for which a Redis that hangs is waited for when the statistics are read.
_REDIS_PATIENCE_S: Final = 30.0
# What a shell reports for a program that Ctrl+C ended.
_EXIT_INTERRUPTED: Final = 130


class RoomStayedEmpty(RoommoodError):
    """The demo ran, but of some room nothing was counted, or no face was ever found."""


def run_demo(options: DemoOptions) -> int:
    """Runs the demo; returns the exit code.

    Raises RoommoodError with the reason where it cannot start, where a component ends, or
    where a room stays empty.
    """
    _require("cv2", "onnxruntime", "redis")
    if options.dashboard:
        _require("nicegui", extra="demo,dashboard")
    with ExitStack() as stack:
        shutdown = stack.enter_context(shutdown_on_signals())
        redis = PrivateRedis(stack.enter_context(private_folder()), find_server())
        processes = stack.enter_context(Processes(redis.folder))
        return Demo(options, redis, processes, shutdown).run()


def _require(*modules: str, extra: str = "demo") -> None:
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise ConfigError(f"the demo needs {', '.join(missing)}: {how_to_install(extra)}")


def open_in_browser(url: str) -> bool:
    """Opens it for a person who sits at a screen; whether it could."""
    has_screen = sys.platform == "darwin" or "DISPLAY" in os.environ
    has_screen = has_screen or "WAYLAND_DISPLAY" in os.environ
    return sys.stdout.isatty() and has_screen and webbrowser.open(url)


class Demo:
    """One run: start, show, stop, sum up."""

    def __init__(
        self, options: DemoOptions, redis: PrivateRedis, processes: Processes, shutdown: Shutdown
    ) -> None:
        self._options = options
        self._redis = redis
        self._processes = processes
        self._shutdown = shutdown
        self._plan: Plan = make_plan(options, redis.url)
        self._view = DemoView(self._plan, redis)
        self._children: list[Child] = []
        self._began = time.monotonic()

    def run(self) -> int:
        self._start()
        if self._shutdown.requested:
            return _EXIT_INTERRUPTED
        self._view.how_to_ask()
        if self._plan.dashboard_url:
            self._view.opened(open_in_browser(self._plan.dashboard_url))
        self._began = time.monotonic()
        with RoomStats(self._redis.url) as stats:
            self._show(stats, self._options.seconds)
            interrupted = self._shutdown.requested
            if self._options.keep and not interrupted:
                self._sum_up(stats)
                self._keep_running(stats)
                interrupted = False
            self._stop()
            periods = self._sum_up(stats)
        if interrupted:
            return _EXIT_INTERRUPTED
        self._check_rooms(periods)
        self._view.farewell(kept=self._options.keep)
        return 0

    # Start

    def _start(self) -> None:
        self._view.announce()
        redis = self._processes.start(self._redis.program)
        self._wait_for([redis])
        self._children = [self._processes.start(program) for program in self._plan.programs]
        self._wait_for(self._children)

    def _wait_for(self, children: list[Child]) -> None:
        ready = self._processes.wait_until_ready(children, self._shutdown, _START_TIMEOUT_S)
        for child in ready:
            self._view.is_ready(child)

    # Show

    def _show(self, stats: RoomStats, seconds: float) -> None:
        """The rooms as they are, until the time is over or a component ends."""
        deadline = Deadline(seconds)
        with self._view.live() as update:
            while not self._shutdown.requested:
                self._processes.check()
                left_s = deadline.left_s
                update(self._look(stats), left_s)
                if left_s <= 0:
                    return
                pause(self._shutdown, min(_REFRESH_S, left_s))

    def _look(self, stats: RoomStats) -> list[RoomNow]:
        try:
            seen = {now.room: now for now in stats.live_rooms()}
        except StoreAway as error:
            self._processes.check()
            return [RoomNow(room, away=str(error)) for room in self._plan.rooms]
        return [seen.get(room, RoomNow(room)) for room in self._plan.rooms]

    def _keep_running(self, stats: RoomStats) -> None:
        self._view.keeps_running()
        self._show(stats, math.inf)

    # Sum up

    def _stop(self) -> None:
        """From the cameras on, so that all that was captured is counted."""
        self._view.stopping()
        aggregator, worker, *others = self._children
        cameras, page = others[: len(self._plan.cameras)], others[len(self._plan.cameras) :]
        for one_by_one in (page, cameras, [worker], [aggregator]):
            self._processes.stop(one_by_one)

    def _sum_up(self, stats: RoomStats) -> list[RoomPeriod]:
        last_s = math.ceil(time.monotonic() - self._began) + 1
        periods = [self._summary(stats, room, last_s) for room in self._plan.rooms]
        self._view.statistics([period for period in periods if period is not None], last_s)
        return [period for period in periods if period is not None]

    def _summary(self, stats: RoomStats, room: str, last_s: int) -> RoomPeriod | None:
        patience = Deadline(_REDIS_PATIENCE_S)
        while True:
            try:
                return stats.summary(room, timedelta(seconds=last_s))
            except StoreAway:  # a laptop's sleep, or a busy disk, holds it up for a while
                self._processes.check()
                if patience.passed:
                    raise
                pause(self._shutdown, _REFRESH_S)
            except ConfigError:  # Redis does not know the room: nothing of it was counted
                return None

    def _check_rooms(self, periods: list[RoomPeriod]) -> None:
        by_room = {period.room: period for period in periods}
        problems = [_problem(room, by_room.get(room)) for room in self._plan.rooms]
        reasons = [problem for problem in problems if problem]
        if not all(room in by_room and by_room[room].frames for room in self._plan.rooms):
            reasons += [
                f"{child.name}; the end of its log:\n{child.end_of_log()}"
                for child in self._cameras
            ]
        if reasons:
            raise RoomStayedEmpty("\n".join(reasons))

    @property
    def _cameras(self) -> list[Child]:
        names = {program.name for program in self._plan.camera_nodes}
        return [child for child in self._children if child.name in names]


def _problem(room: str, period: RoomPeriod | None) -> str | None:
    if period is None or not period.frames:
        return f"{room} stayed empty: no frame of it was analysed"
    if not period.face_s:
        return f"{room} stayed empty: no face was found in its {counted(period.frames, 'frame')}"
    return None
