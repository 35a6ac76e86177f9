"""Rooms and cameras for Prometheus, read from Redis at each scrape: `roommood exporter`.

What is not known has no sample: a silent room has no people and no shares, never old ones.
"""

import logging
import select
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final

from roommood.aggregator.stats.figures import RoomPeriod
from roommood.aggregator.stats.health import CameraHealth
from roommood.aggregator.stats.site import Site, SiteReader, is_up
from roommood.shared.errors import StoreError
from roommood.shared.process.logs import event
from roommood.shared.process.metrics import Health, Sample, serve
from roommood.shared.process.runtime import ConnectionLog, shutdown_on_signals
from roommood.shared.process.settings import ExporterSettings
from roommood.shared.process.settings.readers import host_and_port
from roommood.shared.protocol.measures import measured
from roommood.shared.protocol.messages import PICTURE_PROBLEMS

_LAST: Final = timedelta(minutes=1)
# Scrapes within this are told the same: somebody may ask all the time.
_KEPT_S: Final = 1.0
_TICK_S: Final = 1.0
_log = logging.getLogger(__name__)


class Exporter:
    """Answers scrapes until told to stop."""

    def __init__(self, settings: ExporterSettings) -> None:
        self._settings = settings
        self._reader = SiteReader(settings.redis_url, settings.redis_password_file)
        self._lock = threading.Lock()
        self._samples: list[Sample] = []
        self._read_s = float("-inf")
        self._log_of_redis = ConnectionLog("redis")
        self._log_of_nodes = ConnectionLog("redis node")
        self.health = Health("exporter")

    def run(self) -> int:
        """Serves until SIGTERM or SIGINT; returns the exit code."""
        host, port = host_and_port(self._settings.bind)
        with shutdown_on_signals() as shutdown:
            stop = serve(host, port, self.health, self.samples)
            event(_log, logging.INFO, "exporter ready", bind=self._settings.bind)
            try:
                # Whether Redis answers is known before anybody asks.
                self.samples()
                while not shutdown.requested:
                    select.select([shutdown.waker], [], [], _TICK_S)
                    self.health.tick()
            finally:
                self.health.draining()
                stop()
                self._reader.close()
        return shutdown.forced_exit_code if shutdown.forced else 0

    def samples(self) -> list[Sample]:
        """What Redis says, at most a second old. From any thread."""
        with self._lock:
            began_s = time.monotonic()
            if began_s - self._read_s > _KEPT_S:
                self._samples = [*self._read()]
                took = Sample("roommood_exporter_read_seconds", _TOOK, time.monotonic() - began_s)
                self._samples.append(took)
                self._read_s = time.monotonic()
            return self._samples

    def _read(self) -> Iterator[Sample]:
        try:
            site = self._reader.look()
            lately = self._reader.lately([room.room for room in site.rooms], _LAST)
        except StoreError as error:
            self._note_redis(str(error))
            yield Sample("roommood_exporter_redis_up", _REDIS_UP, 0)
            return
        self._note_redis("")
        self._log_of_nodes.lost_are(site.away, "what it keeps is not told")
        yield Sample("roommood_exporter_redis_up", _REDIS_UP, 1)
        yield from site_samples(site, lately)

    def _note_redis(self, away: str) -> None:
        self.health.ready = not away
        if away:
            self._log_of_redis.lost("redis", away)
        else:
            self._log_of_redis.back("redis")


def site_samples(site: Site, lately: Sequence[RoomPeriod | None]) -> Iterator[Sample]:
    """Of all rooms, their last minute in the same order, and of all cameras."""
    yield Sample("roommood_exporter_rooms_left_out", _LEFT_OUT, site.rooms_left_out)
    yield Sample("roommood_exporter_redis_nodes_away", _NODES_AWAY, len(site.away))
    yield Sample("roommood_site_workers", "Workers heard in the last 10 s.", site.workers_alive)
    for known, now in zip(site.rooms, site.now, strict=True):
        labels = {"room": known.room}
        yield Sample("roommood_room_unknown", _UNKNOWN, bool(now.away), labels)
        if now.away:
            continue
        yield Sample("roommood_room_up", "1 if a frame came in 10 s.", not now.silent, labels)
        yield Sample(
            "roommood_room_paused",
            _CLOSED,
            known.is_closed,
            labels,
        )
        last_s = known.last_seen.timestamp()
        yield Sample("roommood_room_last_result_timestamp_seconds", _LAST_SEEN, last_s, labels)
    for period in lately:
        if period is not None:
            yield from _room_samples(period)
    closed = {room.room for room in site.rooms if room.is_closed}
    for camera in site.cameras:
        labels = {"camera": camera.camera, "room": camera.room}
        up = is_up(camera)
        yield Sample("roommood_site_camera_up", "1 if heard in 10 s.", up, labels)
        yield Sample("roommood_site_camera_silent_seconds", _SILENT, camera.silent_s, labels)
        resting = (
            camera.room in closed
            or camera.camera in site.paused_cameras
            or camera.source in ("paused", "quiet")
        )
        yield Sample("roommood_site_camera_resting", _RESTING, resting, labels)
        if up:
            yield from _known(_measures(camera), labels)
            yield from _problem(camera.picture, labels)


def _room_samples(period: RoomPeriod) -> Iterator[Sample]:
    labels = {"room": period.room}
    yield Sample("roommood_room_coverage_ratio", _COVERAGE, period.coverage, labels)
    yield from _known(
        (
            ("roommood_room_people", _PEOPLE, period.people),
            ("roommood_room_valence", _VALENCE, period.valence),
            ("roommood_room_sure_ratio", _SURE, period.sure_share),
        ),
        labels,
    )
    for expression, share in period.shares.items():
        both = {**labels, "expression": expression}
        yield Sample("roommood_room_expression_ratio", _SHARE, share.raw, both)


def _known(
    figures: Iterable[tuple[str, str, float | None]], labels: dict[str, str]
) -> Iterator[Sample]:
    for name, what, value in figures:
        if value is not None:
            yield Sample(name, what, value, labels)


def _measures(camera: CameraHealth) -> Iterator[tuple[str, str, float | None]]:
    """Each number of a camera that is declared to have a sample."""
    for number in measured(CameraHealth):
        if number.measure.sample:
            value = getattr(camera, number.name)
            scaled = None if value is None else value * number.measure.scale
            yield (
                f"roommood_site_camera_{number.measure.sample}",
                number.measure.description,
                scaled,
            )


def _problem(picture: str, labels: dict[str, str]) -> Iterator[Sample]:
    """What is wrong with a camera's picture, by its own word, where it says that."""
    for problem in PICTURE_PROBLEMS if picture else ():
        is_so = picture.partition(":")[0] == problem
        both = {**labels, "problem": problem}
        yield Sample("roommood_site_camera_picture_problem", _PICTURE, is_so, both)


_TOOK: Final = "Time that reading Redis took."
_REDIS_UP: Final = "1 if Redis answers."
_NODES_AWAY: Final = "Nodes of a Redis Cluster that give no answer: what they keep is not told."
_UNKNOWN: Final = "1 while what Redis keeps of the room is away or damaged: nothing else is told."
_LEFT_OUT: Final = "Rooms beyond the first 1,000, of which nothing is told."
_LAST_SEEN: Final = "Capture of the room's newest result, since 1970."
_SILENT: Final = "Since the camera was last heard."
_CLOSED: Final = "1 while the room is paused, or in its quiet hours."
_RESTING: Final = "1 while it or its room is paused, or in its quiet hours."
_PICTURE: Final = "1 for what is wrong with the camera's picture."
_COVERAGE: Final = "Part of the last minute that was observed."
_PEOPLE: Final = "Faces at once, over the last minute."
_VALENCE: Final = "Mean pleasure of the expressions shown in the last minute, -1 to 1."
_SURE: Final = "Part of the last minute's face time that was classified surely."
_SHARE: Final = "An expression's part of the last minute's sure face time, as the model saw it."
