"""The newest picture wins, every picture is counted once, and a lost source comes back."""

import logging
import math
import queue
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from roommood.camera_node.back_off import BackOff
from roommood.camera_node.capture import Capture, CaptureCounts
from roommood.camera_node.interval import Interval
from roommood.camera_node.sources.picture import (
    EndOfSource,
    Grabbed,
    Interrupted,
    Picture,
    Source,
)
from roommood.camera_node.sources.pictures import PictureFolder
from roommood.camera_node.sources.simulated import packaged_photographs
from roommood.shared.errors import PictureDamaged, SourceError
from tests import hooks

SOON = BackOff(0.001, 0.002)


class Scripted(Source):
    """Gives what it is handed: a picture, or an error to raise; `None` is an interruption."""

    def __init__(self) -> None:
        self.description, self.width, self.height, self.rate_hz = "scripted", 640, 480, 25.0
        self.script: queue.Queue[Picture | Exception | None] = queue.Queue()
        self.open_errors: list[Exception] = []
        self.close_errors: list[Exception] = []
        self.opened, self.closed = threading.Semaphore(0), threading.Semaphore(0)
        self.is_open = False
        self.retrieved: list[float] = []
        self.ignores_interrupts = False
        self.waits, self.asked = threading.Event(), threading.Semaphore(0)

    def open(self) -> None:
        if self.open_errors:
            raise self.open_errors.pop(0)
        self.is_open = True
        self.opened.release()

    def grab(self) -> Grabbed:
        assert self.is_open
        self.waits.set()
        self.asked.release()
        step = self.script.get(timeout=30)
        self.waits.clear()
        if step is None:
            raise Interrupted("interrupted")
        if isinstance(step, Exception):
            raise step
        self.grabbed = step
        return Grabbed(step.captured_ms, step.is_key)

    def retrieve(self) -> Picture:
        self.retrieved.append(self.grabbed.captured_ms)
        return self.grabbed

    def close(self) -> None:
        self.is_open = False
        self.closed.release()
        if self.close_errors:
            raise self.close_errors.pop(0)

    def interrupt(self) -> None:
        if not self.ignores_interrupts:
            self.script.put(None)

    def give(self, *numbers: int) -> None:
        """Pictures captured at these times in ms."""
        for number in numbers:
            self.script.put(Picture(float(number), 640, 480, jpeg=b"%d" % number))


class Room:
    """A capture on a scripted source, with a semaphore that counts its wakes."""

    def __init__(self) -> None:
        self.source = Scripted()
        self.woken = threading.Semaphore(0)
        self.quiet = False
        self.now_ms = 0.0
        self.capture = self.capture_of()

    def capture_of(self, retry_at_start: bool = False, is_masked: bool = False) -> Capture:
        capture = Capture(
            self.source,
            wake=self.woken.release,
            is_quiet=lambda: self.quiet,
            retry_at_start=retry_at_start,
            is_masked=is_masked,
            back_off=SOON,
            clock=lambda: self.now_ms,
        )
        capture.is_frame_wanted = True
        return capture

    def start(self) -> None:
        self.capture.start()
        assert self.source.opened.acquire(timeout=10)

    def show(self, *numbers: int) -> None:
        """Hands these pictures in and waits until the capture thread has kept them."""
        for number in numbers:
            self.source.give(number)
            assert self.woken.acquire(timeout=10)


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room()
    yield room
    room.source.ignores_interrupts = False
    assert room.capture.stop(10)


def balanced(counts: CaptureCounts) -> bool:
    return counts.captured == counts.taken + counts.skipped + counts.unchanged + counts.waiting


def test_the_newest_picture_is_given_out_once(room: Room) -> None:
    room.start()
    room.show(1, 2, 3)
    picture = room.capture.take_newest()
    assert picture is not None
    assert picture.captured_ms == 3.0
    assert room.capture.take_newest() is None
    assert room.capture.counts() == CaptureCounts(captured=3, taken=1, skipped=2)
    room.show(4)
    assert room.capture.counts() == CaptureCounts(captured=4, taken=1, skipped=2, waiting=1)


def test_a_picture_taken_but_not_sent_counts_as_skipped(room: Room) -> None:
    room.start()
    room.show(1)
    room.capture.take_newest()
    room.capture.count_unsent()
    assert room.capture.counts() == CaptureCounts(captured=1, skipped=1)


def test_a_picture_that_was_held_back_has_a_count_of_its_own(room: Room) -> None:
    room.start()
    room.show(1)
    room.capture.take_newest()
    room.capture.count_unchanged()
    assert room.capture.counts() == CaptureCounts(captured=1, unchanged=1)


def test_the_rate_of_a_source_whose_pictures_come_late_is_that_at_which_they_come() -> None:
    interval = Interval()
    for number in range(20):
        interval.note(number * 40.0, number * 40.0 + 500.0)
    assert interval.rate_hz(19 * 40.0 + 510.0) == pytest.approx(25.0)
    assert interval.rate_hz(19 * 40.0 + 1_500.0) == pytest.approx(1.0)


def test_nobody_is_woken_who_does_not_wait(room: Room) -> None:
    room.start()
    room.capture.is_frame_wanted = False
    room.source.give(1, 2)
    room.source.script.put(EndOfSource("over"))
    room.capture._thread.join(10)
    assert room.woken.acquire(timeout=1), "the end of a source wakes in any case"
    assert not room.woken.acquire(blocking=False)


def show_at(room: Room, *numbers: int) -> None:
    """Hands each in when it is captured, and waits until the capture thread asks for the next."""
    for number in numbers:
        room.now_ms = float(number)
        room.source.give(number)
        assert room.source.asked.acquire(timeout=10)


def test_one_that_is_wanted_from_a_time_on_wakes_who_waits_and_none_before(room: Room) -> None:
    room.capture.is_frame_wanted = False
    room.capture.want_from(100.0)
    room.start()
    assert room.source.asked.acquire(timeout=10)
    show_at(room, 0, 40, 80, 120)
    assert room.source.retrieved == [0, 120], "the first is looked at for stillness"
    assert room.woken.acquire(blocking=False)
    assert not room.woken.acquire(blocking=False)
    room.capture.want_from(math.inf)
    show_at(room, 160, 200)
    assert room.source.retrieved == [0, 120]


@pytest.mark.parametrize(("wanted_from_ms", "retrieved"), [(1060, [0, 1080]), (1120, [0, 1000])])
def test_a_look_for_stillness_waits_for_a_picture_that_is_wanted_soon(
    room: Room, wanted_from_ms: float, retrieved: list[float]
) -> None:
    room.capture.is_frame_wanted = False
    room.start()
    assert room.source.asked.acquire(timeout=10)
    show_at(room, 0)
    room.capture.want_from(wanted_from_ms)
    show_at(room, *range(40, 1100, 40))
    assert room.source.retrieved == retrieved


def seen(room: Room, *numbers: int) -> list[float]:
    """Which of these pictures, captured at these times, were retrieved; nobody waits for them."""
    room.source.retrieved.clear()
    room.source.give(*numbers)
    room.source.script.put(EndOfSource("over"))
    room.capture._thread.join(10)
    return room.source.retrieved


def test_what_nobody_asks_for_is_not_retrieved_but_for_one_look_a_second(room: Room) -> None:
    room.capture.is_frame_wanted = False
    room.start()
    assert seen(room, *range(0, 3000, 40)) == [0, 1000, 2000]
    assert room.capture.counts() == CaptureCounts(captured=75, skipped=75)


def test_every_picture_is_retrieved_while_it_is_wanted(room: Room) -> None:
    room.start()
    assert seen(room, *range(0, 400, 40)) == list(range(0, 400, 40))


def test_a_picture_that_was_passed_over_takes_the_place_of_the_older_one(room: Room) -> None:
    room.start()
    room.show(0)
    room.capture.is_frame_wanted = False
    assert seen(room, 40) == []
    assert room.capture.take_newest() is None
    assert room.capture.counts() == CaptureCounts(captured=2, skipped=2)


def take(room: Room, number: int, now_ms: float) -> None:
    room.now_ms = now_ms
    room.show(number)
    assert room.capture.take_newest() is not None


def test_pictures_are_kept_for_who_takes_them_faster_than_ten_a_second(room: Room) -> None:
    room.start()
    take(room, 0, 0.0)
    take(room, 40, 66.0)
    room.capture.is_frame_wanted = False
    assert seen(room, 80, 120) == [80, 120]
    assert room.capture.take_newest() is not None


def test_pictures_are_passed_over_where_five_a_second_are_taken(room: Room) -> None:
    room.start()
    take(room, 0, 0.0)
    take(room, 40, 200.0)
    room.capture.is_frame_wanted = False
    assert seen(room, 80, 120) == []


def test_pictures_that_come_seldom_are_kept_for_who_asks_while_somebody_does(room: Room) -> None:
    room.start()
    room.show(0, 200)
    room.capture.is_frame_wanted = False
    assert seen(room, 400, 600, 800) == [400, 600, 800]
    assert room.capture.take_newest() is not None


def test_pictures_that_come_seldom_are_passed_over_once_nobody_has_asked_for_a_while(
    room: Room,
) -> None:
    room.start()
    room.show(0, 200)
    room.capture.is_frame_wanted = False
    room.now_ms = 6_000.0
    assert seen(room, 400, 600, 800, 1000) == [1000]


def test_damage_is_passed_over_and_ten_in_a_row_are_a_lost_source(room: Room) -> None:
    room.start()
    room.capture.is_frame_wanted = False
    for _ in range(9):
        room.source.script.put(PictureDamaged("a cut picture"))
    room.source.give(500)
    for _ in range(10):
        room.source.script.put(PictureDamaged("a cut picture"))
    assert room.source.opened.acquire(timeout=10)
    assert room.source.retrieved == [500], "what comes after damage is looked at"
    assert "only damaged pictures: a cut picture" in room.capture.status


def test_the_age_of_the_waiting_picture_is_known(room: Room) -> None:
    room.start()
    assert room.capture.newest_age_ms() is None
    room.show(100)
    room.now_ms = 140.0
    assert room.capture.newest_age_ms() == 40.0
    room.capture.take_newest()
    assert room.capture.newest_age_ms() is None


def test_the_rate_is_measured_and_sinks_when_pictures_stay_away(room: Room) -> None:
    room.start()
    room.show(0)
    assert room.capture.rate_hz == 25.0
    for at_ms in range(100, 1100, 100):
        room.now_ms = float(at_ms)
        room.show(at_ms)
    assert room.capture.rate_hz == pytest.approx(10.0)
    room.now_ms = 3000.0
    assert room.capture.rate_hz == pytest.approx(0.5)


def test_counts_balance_at_every_moment_however_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(packaged_photographs()[1].read_bytes())
    woken = threading.Semaphore(0)
    capture = Capture(PictureFolder(tmp_path, rate_hz=1000.0), wake=woken.release)
    capture.is_frame_wanted = True
    capture.start()
    taken, chance = 0, random.Random(1)
    for _ in range(150):
        assert woken.acquire(timeout=10)
        if chance.random() < 0.5 and capture.take_newest() is not None:
            taken += 1
        assert balanced(capture.counts())
    assert capture.stop()
    assert capture.counts().taken == taken
    assert balanced(capture.counts())


def test_a_source_played_once_ends_with_every_picture_counted(tmp_path: Path) -> None:
    for name in "abcde":
        (tmp_path / f"{name}.jpg").write_bytes(packaged_photographs()[1].read_bytes())
    capture = Capture(PictureFolder(tmp_path, rate_hz=1000.0, loop=False))
    capture.is_frame_wanted = True
    capture.start()
    capture._thread.join(10)
    assert (capture.status, capture.is_finished, capture.error) == ("ended", True, None)
    assert capture.take_newest() is not None
    assert capture.counts() == CaptureCounts(captured=5, taken=1, skipped=4)
    assert capture.stop()


def test_a_lost_source_comes_back_with_one_line_for_each(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "camera_node")
    room.start()
    room.show(1)
    room.source.open_errors = [SourceError(f"still away {n}") for n in range(5)]
    room.source.script.put(SourceError("unplugged"))
    assert room.source.opened.acquire(timeout=10)
    assert room.capture.status == "reconnecting: still away 4"
    room.show(2)
    assert room.capture.status in ("ok", "reconnecting: still away 4")
    room.show(3)
    assert room.capture.status == "ok"
    assert [record.message for record in caplog.records] == [
        "scripted is lost: unplugged (trying again)",
        "scripted is back after 0.0 s",
    ]
    assert room.capture.counts().captured == 3


def test_the_status_fits_the_wire_whatever_the_error_says(room: Room) -> None:
    room.start()
    room.source.open_errors = [SourceError("line one\n\x1b[2Jline two" + "x" * 500)]
    room.source.script.put(SourceError("unplugged"))
    assert room.source.opened.acquire(timeout=10)
    assert len(room.capture.status) == 200
    assert room.capture.status.isprintable()


def test_the_pause_between_attempts_doubles_up_to_its_bound_with_jitter() -> None:
    back_off = BackOff()
    middle = [back_off.delay_s(attempt, 0.5) for attempt in range(9)]
    assert middle == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert back_off.delay_s(10_000, 0.5) == 30
    assert (back_off.delay_s(0, 0.0), back_off.delay_s(0, 1.0)) == (0.375, 0.625)


def test_a_source_that_keeps_failing_after_one_picture_is_tried_ever_more_rarely(
    room: Room,
) -> None:
    room.start()
    for round_ in range(4):
        room.show(round_)
        room.source.script.put(SourceError("flaky"))
        assert room.source.opened.acquire(timeout=10)
    assert room.capture._attempts == 4
    room.show(10)
    room.now_ms += 60_000.0
    room.source.script.put(SourceError("after a steady minute"))
    assert room.source.opened.acquire(timeout=10)
    assert room.capture._attempts == 1


def test_a_source_that_cannot_be_opened_at_the_start_is_an_error(room: Room) -> None:
    room.source.open_errors = [SourceError("no such camera")]
    with pytest.raises(SourceError, match="no such camera"):
        room.capture.start()


def test_with_retry_at_start_it_is_waited_for(room: Room) -> None:
    room.capture = room.capture_of(retry_at_start=True)
    room.source.open_errors = [SourceError("not yet"), SourceError("not yet")]
    room.start()
    room.show(1)
    assert room.capture.take_newest() is not None


def test_a_paused_camera_is_closed_and_gives_nothing(room: Room) -> None:
    room.start()
    room.show(1)
    room.capture.pause()
    assert room.capture.take_newest() is None
    assert room.source.closed.acquire(timeout=10)
    assert not room.source.is_open
    assert room.capture.rate_hz == 0.0
    assert room.capture.counts() == CaptureCounts(captured=1, skipped=1)
    room.capture.resume()
    assert room.source.opened.acquire(timeout=10)
    room.show(2)
    assert room.capture.counts() == CaptureCounts(captured=2, skipped=1, waiting=1)


def test_a_picture_read_during_the_pause_is_not_captured(room: Room) -> None:
    room.source.ignores_interrupts = True
    room.start()
    room.capture.pause()
    room.source.give(1)
    assert room.source.closed.acquire(timeout=10)
    assert room.capture.counts() == CaptureCounts()


def test_pausing_is_no_loss_however_quickly_it_is_resumed(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "camera_node")
    room.start()
    for n in range(20):
        room.capture.pause()
        room.capture.resume()
        assert room.source.opened.acquire(timeout=10)
        room.show(n)
    assert caplog.records == []


def test_in_quiet_hours_the_source_is_closed_and_opened_after(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.quiet_hours_are_looked_at_every(monkeypatch, 0.01)
    room.start()
    room.show(1)
    assert room.source.waits.wait(10)
    room.quiet = True
    room.source.give(2)
    assert room.source.closed.acquire(timeout=10)
    room.quiet = False
    assert room.source.opened.acquire(timeout=10)
    room.show(3)
    picture = room.capture.take_newest()
    assert picture is not None
    assert picture.captured_ms == 3.0
    assert room.capture.counts() == CaptureCounts(captured=2, taken=1, skipped=1)


def test_a_camera_that_starts_in_quiet_hours_is_not_opened(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.quiet_hours_are_looked_at_every(monkeypatch, 0.01)
    room.quiet = True
    room.source.open_errors = [SourceError("must not matter yet")]
    room.capture.start()
    assert room.source.open_errors
    room.quiet = False
    assert room.source.opened.acquire(timeout=10)


def test_stop_does_not_wait_for_a_read_that_hangs(room: Room) -> None:
    room.source.ignores_interrupts = True
    room.start()
    assert room.capture.stop(0.05) is False
    room.source.give(1)
    assert room.capture.stop(10) is True
    assert room.capture.status == "stopped"
    assert not room.source.is_open


def test_stop_cuts_the_wait_for_the_next_attempt_short(room: Room) -> None:
    room.capture = Capture(room.source, back_off=BackOff(1000.0, 1000.0))
    room.start()
    room.source.script.put(SourceError("unplugged"))
    assert room.source.closed.acquire(timeout=10)
    assert room.capture.stop(10)


@pytest.mark.parametrize("error", [AttributeError("no tobytes"), OSError("a broken pipe")])
def test_whatever_a_source_raises_it_is_lost_and_comes_back(
    room: Room, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    caplog.set_level(logging.INFO, "camera_node")
    room.start()
    room.show(1)
    room.source.close_errors = [OSError("gone with its cable")]
    room.source.open_errors = [OSError("a driver that starts")]
    room.source.script.put(error)
    assert room.source.opened.acquire(timeout=10)
    assert room.capture.status.startswith("reconnecting: unexpected OSError: a driver that starts")
    room.show(2, 3)
    assert room.capture.status == "ok"
    closing, lost, back = (record.message for record in caplog.records)
    assert closing == "scripted cannot be closed: OSError('gone with its cable')"
    assert lost.startswith(f"scripted is lost: unexpected {type(error).__name__}: {error}; if it")
    assert back.startswith("scripted is back after ")


def test_a_source_that_raises_anything_again_and_again_is_tried_ever_more_rarely(
    room: Room,
) -> None:
    room.start()
    for round_ in range(4):
        room.show(round_)
        room.source.script.put(TypeError("no picture"))
        assert room.source.opened.acquire(timeout=10)
    assert room.capture._attempts == 4


def test_an_unforeseen_error_at_the_start_is_told_as_one_of_the_source(room: Room) -> None:
    room.source.open_errors = [ValueError("numpy.dtype size changed")]
    with pytest.raises(SourceError, match=r"unexpected ValueError: numpy\.dtype size changed"):
        room.capture.start()
    assert room.source.closed.acquire(timeout=10)


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), SystemExit(3)])
def test_an_error_of_our_own_ends_the_capture_and_is_kept(
    room: Room,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    def look(_: Picture) -> None:
        raise error

    monkeypatch.setattr(room.capture.stillness, "look", look)
    room.start()
    room.show(1)
    assert room.woken.acquire(timeout=10)
    room.capture._thread.join(10)
    assert room.capture.status == f"failed: {error!r}"
    assert room.capture.error is error
    assert room.capture.is_finished
    assert not room.source.is_open
    assert "scripted failed" in caplog.text


def frozen(room: Room) -> Iterator[Picture]:
    """The camera has shown the same picture for so long; these are others."""
    room.start()
    same, *others = np.random.default_rng(1).integers(0, 255, (4, 48, 64, 3), np.uint8)
    for number in range(0, 12_000, 1_000):
        room.source.script.put(Picture.of_pixels(same, float(number)))
        assert room.woken.acquire(timeout=10)
    assert room.source.waits.wait(10)
    for number, other in enumerate(others):
        yield Picture.of_pixels(other, 12_000.0 + 1_000 * number)


def test_a_frozen_camera_says_so_in_its_status_until_it_lives_again(room: Room) -> None:
    first, second, third = frozen(room)
    assert room.capture.status.startswith("frozen: the same picture for 1")
    for picture in (first, second, third):
        room.source.script.put(picture)
    assert room.woken.acquire(timeout=10), "the third one is wanted again"
    assert room.source.waits.wait(10)
    assert room.capture.status == "ok"


def test_of_a_frozen_camera_nobody_is_given_more_than_a_look_a_second(room: Room) -> None:
    list(frozen(room))
    room.now_ms = 11_000.0
    assert not room.capture.is_frame_wanted
    assert seen(room, *range(11_040, 14_000, 40)) == [12_000, 13_000]


@pytest.mark.parametrize("is_masked", [True, False])
def test_a_masked_camera_that_cuts_its_picture_anew_sends_none_until_it_is_set_back(
    room: Room, is_masked: bool
) -> None:
    room.capture = room.capture_of(is_masked=is_masked)
    room.start()
    shapes = {1: (640, 480), 2: (1280, 960), 3: (1280, 720), 4: (480, 640), 5: (640, 480)}
    taken = []
    for number, (width, height) in shapes.items():
        room.source.script.put(Picture(float(number), width, height, jpeg=b"any"))
        if is_masked and number in (3, 4):
            assert room.source.closed.acquire(timeout=10)
            assert room.source.opened.acquire(timeout=10)
            assert "masks would cover something else" in room.capture.status
            continue
        assert room.woken.acquire(timeout=10)
        picture = room.capture.take_newest()
        assert picture is not None
        taken.append(int(picture.captured_ms))
        assert room.capture.status == "ok"
    assert taken == ([1, 2, 5] if is_masked else [1, 2, 3, 4, 5])
    room.capture.stop()
