"""The camera node: grab, mask, compress and publish the newest frame when it is asked for."""

import logging
import math
import select
from collections.abc import Callable, Iterator
from typing import Final

import zmq

from roommood.camera_node.adaptation import LinkAdaptation
from roommood.camera_node.board import temperature_c
from roommood.camera_node.capture import Capture
from roommood.camera_node.encoder import Encoder
from roommood.camera_node.frames import Outgoing
from roommood.camera_node.holding import Glance
from roommood.camera_node.masks import parse_masks
from roommood.camera_node.own_quiet_hours import OwnQuietHours
from roommood.camera_node.publisher import Publisher
from roommood.camera_node.samples import OUTCOMES, samples_of
from roommood.camera_node.sources.open import open_source
from roommood.camera_node.sources.picture import Picture
from roommood.shared.clock import boot_ms
from roommood.shared.errors import PictureError, SourceError
from roommood.shared.opencv import Pixels
from roommood.shared.process.logs import RateLimitedLog, event
from roommood.shared.process.metrics import Health, Sample, serve_if_asked
from roommood.shared.process.runtime import (
    EXIT_DRAIN_INCOMPLETE,
    Deadline,
    Shutdown,
    Waker,
    new_id,
    release,
    shutdown_on_signals,
)
from roommood.shared.process.settings import CameraSettings
from roommood.shared.protocol.limits import CAMERA_FRESH_MS
from roommood.shared.protocol.messages import CameraHealth, Hello
from roommood.shared.security.keys import camera_keys
from roommood.shared.transport.discovery import finding

_log = logging.getLogger(__name__)
_TICK_MS: Final = 500
# Milliseconds from one look at what frames do not wait for to the next: done at each tick it would
# be a third of a frame's cost in this thread.
_LOOK_AROUND_MS: Final = 250.0
# Where they come so often, the picture to be looked at ends the wait, if it is not so late.
_OFTEN_HZ: Final = 10.0
_LATE_MS: Final = 100.0


class CameraNode:
    """One camera process: a capture thread, and this thread for all else."""

    def __init__(self, settings: CameraSettings) -> None:
        self._settings = settings
        self._session_id = new_id()
        self._keys = camera_keys(settings.keys, settings.name, settings.room)
        self._quiet = OwnQuietHours(settings.quiet_hours)
        self._waker = Waker()
        self._capture = self._make_capture()
        self._masks = parse_masks(settings.masks)
        self._encoder = Encoder(
            quality=settings.jpeg_quality,
            max_width=settings.width,
            max_height=settings.height,
            masks=self._masks,
        )
        self._adaptation = LinkAdaptation()
        self._paused = False
        self._credit_waits = False
        self._skipped = 0
        self._looked_ms = -math.inf
        self._limited_log = RateLimitedLog(_log)
        self.health = Health("camera-node")

    def _make_capture(self) -> Capture:
        settings = self._settings
        source = open_source(
            settings.source,
            rate_hz=settings.rate_hz,
            width=settings.width,
            height=settings.height,
            loop=settings.loop,
            name=settings.name,
            password_file=settings.source_password_file,
            any_certificate=settings.source_any_certificate,
        )
        is_quiet = self._quiet.hold if settings.quiet_hours else lambda: False
        # A folder's pictures were never of one camera.
        is_masked = bool(settings.masks) and not source.may_repeat
        return Capture(source, wake=self._waker.wake, is_quiet=is_quiet, is_masked=is_masked)

    def run(self) -> int:
        """Works until told to stop or the source has ended; returns the exit code."""
        with shutdown_on_signals() as shutdown, finding(self._settings.discover) as self._finder:
            try:
                self._start_up(shutdown)
            except BaseException:
                # A thread of OpenCV's that outlives the interpreter ends the process by SIGABRT.
                self._capture.stop(1.0)
                raise
            try:
                self._main_loop(shutdown)
                drained = self._drain(shutdown)
            finally:
                self._shut_down()
        if self._capture.error is not None:
            raise SourceError(f"the source failed: {self._capture.error}")
        if shutdown.forced:
            return shutdown.forced_exit_code
        return 0 if drained else EXIT_DRAIN_INCOMPLETE

    # Start

    def _start_up(self, shutdown: Shutdown) -> None:
        self._capture.start()
        source = self._capture.source
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._poller = zmq.Poller()
        self._publisher = Publisher(
            self._context,
            self._poller,
            self._settings.known_workers,
            self._hello,
            lambda: self._capture.status,
            round(1e6 / max(source.rate_hz, 0.2)),
            insecure=self._settings.insecure,
            keys=self._keys,
            keys_at=self._settings.keys,
            discovered=self._finder,
        )
        self._wakers = select.poll()
        for waker in (self._waker, shutdown.waker):
            self._poller.register(waker.fileno(), zmq.POLLIN)
            self._wakers.register(waker.fileno(), select.POLLIN)
        self._stop_metrics = serve_if_asked(self._settings, self.health, self.samples)
        event(
            _log,
            logging.INFO,
            "camera ready",
            camera=self._settings.name,
            room=self._settings.room,
            session=self._session_id,
            release=release(),
            source=source.description,
            size=f"{source.width}x{source.height}",
            rate_hz=round(source.rate_hz, 2),
            masks=len(self._settings.masks),
            workers=",".join(self._settings.known_workers) or "discovered",
            keys="own" if self._keys else "none",
        )

    # Work

    def _main_loop(self, shutdown: Shutdown) -> None:
        while not shutdown.requested and not self._has_ended():
            self._tick()

    def _has_ended(self) -> bool:
        """True once the source gives no more, and its last frame found a worker or got too old."""
        if not self._capture.is_finished:
            return False
        age_ms = self._capture.newest_age_ms()
        return age_ms is None or age_ms > CAMERA_FRESH_MS

    def _tick(self) -> None:
        ready = self._wait()
        if ready is None or self._waker.fileno() in ready:
            self._waker.drain()
        if self._is_time_to_look_around(ready):
            self._look_around(ready)
        else:
            self._publisher.take_messages(ready)
        self._obey_pause()
        self._publish()
        self._adapt()

    def _is_time_to_look_around(self, ready: set[object] | None) -> bool:
        """Else all that came are messages, or a picture."""
        if boot_ms() - self._looked_ms >= _LOOK_AROUND_MS:
            return True
        descriptors = {source for source in ready or () if isinstance(source, int)}
        return not descriptors <= {self._waker.fileno()}

    def _look_around(self, ready: set[object] | None) -> None:
        """What frames and their credit do not wait for is done with it."""
        self._looked_ms = boot_ms()
        self._publisher.tick(ready)
        self.health.ready = self._publisher.connected_workers > 0
        self.health.detail = {"workers": self._publisher.states()}
        self.health.tick()

    def _wait(self) -> set[object] | None:
        """What can be read now; None where that was not asked.

        Where credit waits for pictures, not pictures for credit, the next picture alone ends the
        wait; what came meanwhile is read with it, so that a frame wakes this thread but once.
        """
        if self._credit_waits:
            self._wakers.poll(_TICK_MS)
            return None
        look_ms, until_ms = self._publisher.until_look_ms(), float(_TICK_MS)
        if self._capture.rate_hz < _OFTEN_HZ:
            until_ms = min(until_ms, look_ms)
        elif look_ms <= until_ms:
            self._capture.want_from(boot_ms() + look_ms)
            until_ms = look_ms + _LATE_MS
        return {sock for sock, _ in self._poller.poll(math.ceil(until_ms))}

    def _publish(self) -> None:
        """Answers credit at once with the newest unsent frame, else with the next capture."""
        capture = self._capture
        capture.source.luma_suffices = self._publisher.luma_suffices
        while self._publisher.may_send():
            picture = capture.take_newest()
            if picture is None:
                self._credit_waits = True
                return
            self._answer_with(picture)
        # Credit that came before each picture so far most likely will do so again.
        skipped, self._skipped = self._skipped, capture.counts().skipped
        if skipped != self._skipped or capture.newest_age_ms() is not None:
            self._credit_waits = False
        capture.is_frame_wanted = self._credit_waits
        capture.want_from(math.inf)

    def _answer_with(self, picture: Picture) -> None:
        """Sends it, or has it counted as not sent."""
        glance = Glance(picture, self._masks)
        step_ms = 1000.0 / max(self._capture.rate_hz, 0.2)
        try:
            if not self._is_of_now(picture):
                self._capture.count_unsent()
            elif self._publisher.holds(picture.captured_ms, glance.pixels, step_ms):
                self._capture.count_unchanged()
            elif not self._send(picture, glance.pixels):
                self._capture.count_unsent()
        except PictureError as error:
            self._limited_log.event("picture not sent", why=str(error))
            self._capture.count_unsent()

    def _is_of_now(self, picture: Picture) -> bool:
        if boot_ms() - picture.captured_ms > CAMERA_FRESH_MS:
            return False
        # A frozen one shows the past: to count it would be to make up what is there now.
        return self._capture.stillness.problem != "frozen"

    def _send(self, picture: Picture, glance: Callable[[], Pixels]) -> bool:
        """Raises PictureError."""
        self._encoder.grey = self._publisher.luma_suffices
        seen = glance() if self._publisher.may_hold else None
        encoded = self._encoder.encode(picture)
        return self._publisher.send(
            Outgoing(encoded.jpeg, encoded.width, encoded.height, picture.captured_ms, seen)
        )

    def _obey_pause(self) -> None:
        if self._publisher.paused == self._paused:
            return
        self._paused = self._publisher.paused
        event(_log, logging.INFO, "paused" if self._paused else "resumed")
        if self._paused:
            self._capture.pause()
        else:
            self._capture.resume()

    def _adapt(self) -> None:
        transit_ms, self._publisher.last_transit_ms = self._publisher.last_transit_ms, None
        if transit_ms is None or not self._adaptation.observe(transit_ms, boot_ms()):
            return
        step = self._adaptation.step
        self._encoder.quality = max(1, round(self._settings.jpeg_quality * step.quality))
        self._encoder.scale = step.scale
        changed = {"quality": self._encoder.quality, "scale": step.scale}
        event(_log, logging.INFO, "adapted to the link", transit_ms=transit_ms, **changed)

    # End

    def _drain(self, shutdown: Shutdown) -> bool:
        """Captures no more, and hears what became of the frames that are under way."""
        self.health.draining()
        shutdown.waker.drain()
        self._capture.stop(min(1.0, self._settings.drain_s))
        if self._capture.take_newest() is not None:
            self._capture.count_unsent()
        deadline = Deadline(self._settings.drain_s)
        while self._publisher.unsettled and not (shutdown.forced or deadline.passed):
            self._publisher.say_hello_now()
            self._poller.poll(20)
            self._publisher.tick()
        drained = not self._publisher.unsettled
        self._publisher.write_off()
        self._publisher.say_hello_now()
        return drained

    def _shut_down(self) -> None:
        self._capture.stop(0.5)
        self._stop_metrics()
        self._publisher.close()
        self._waker.close()
        self._context.term()
        health = self._publisher.counted(self._health())
        event(
            _log,
            logging.INFO,
            "camera ended",
            camera=self._settings.name,
            session=self._session_id,
            **{outcome: getattr(health, outcome) for outcome in OUTCOMES},
        )

    # What others may know

    def _hello(self) -> Hello:
        source = self._capture.source
        return Hello(
            camera=self._settings.name,
            room=self._settings.room,
            session_id=self._session_id,
            link=0,
            connection=0,
            sent=0,
            rate_hz=min(self._capture.rate_hz, 10_000.0),
            width=source.width,
            height=source.height,
            rotation=self._settings.rotation,
            sent_ms=boot_ms(),
            release=release(),
            health=self._health(),
            holds=True,
        )

    def _health(self) -> CameraHealth:
        """But for what the publisher counts."""
        counts = self._capture.counts()
        return CameraHealth(
            captured=counts.captured,
            skipped=counts.skipped,
            unchanged=counts.unchanged,
            encode_ms=self._encoder.encode_ms or None,
            temperature_c=temperature_c(),
            source=self._capture.status[:200],
        )

    def samples(self) -> Iterator[Sample]:
        """The camera's metrics."""
        health, workers = self._publisher.counted(self._health()), self._publisher.connected_workers
        return samples_of(self._settings, health, self._capture.rate_hz, workers)
