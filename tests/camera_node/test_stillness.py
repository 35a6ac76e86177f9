"""A camera that freezes, goes black or is covered is told of; one that lives is not."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from roommood.camera_node.sources.ffmpeg import FfmpegVideo
from roommood.camera_node.sources.network.http_camera import HttpCamera
from roommood.camera_node.sources.network.stream import Stream
from roommood.camera_node.sources.open import open_source
from roommood.camera_node.sources.picture import Picture
from roommood.camera_node.sources.pictures import PictureFolder
from roommood.camera_node.sources.simulated import SimulatedCamera
from roommood.camera_node.sources.video import VideoFile
from roommood.camera_node.stillness import PROBLEMS, Stillness
from roommood.shared.opencv import Pixels
from roommood.shared.protocol.limits import STILL_AFTER_MS
from roommood.shared.protocol.messages import PICTURE_PROBLEMS
from tests.inference_worker.pictures import astronaut
from tests.needs import missing

Make = Callable[[Pixels, float], Picture]


def raw(pixels: Pixels, at_ms: float) -> Picture:
    return Picture.of_pixels(pixels, at_ms)


def jpeg(pixels: Pixels, at_ms: float) -> Picture:
    return Picture.of_jpeg(cv2.imencode(".jpg", pixels)[1].tobytes(), at_ms)


BOTH = pytest.mark.parametrize("make", [raw, jpeg], ids=["raw", "jpeg"])
_CHANCE = np.random.default_rng(5)


def noisy(picture: Pixels, deviation: float = 2.0) -> Pixels:
    """As a sensor gives it: never twice the same."""
    noise = _CHANCE.normal(0.0, deviation, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def plain(luma: int) -> Pixels:
    return np.full((120, 160, 3), luma, np.uint8)


def scene() -> Pixels:
    return cv2.resize(astronaut(), (160, 120)).astype(np.uint8)


def watched(
    stillness: Stillness, pictures: Iterator[Pixels], make: Make, seconds: float, from_s: float = 0
) -> str:
    """Shows five pictures a second; what is wrong at the end."""
    for tick in range(int(from_s * 5), int((from_s + seconds) * 5) + 1):
        stillness.look(make(next(pictures), tick * 200.0))
    return stillness.problem


def forever(make: Callable[[], Pixels]) -> Iterator[Pixels]:
    while True:
        yield make()


@BOTH
def test_a_picture_that_lives_is_not_told_of(make: Make) -> None:
    stillness = Stillness("camera")
    assert watched(stillness, forever(lambda: noisy(scene())), make, 30) == ""
    assert stillness.status == ""


@BOTH
def test_the_same_picture_for_ten_seconds_is_frozen_and_change_ends_that(make: Make) -> None:
    stillness, same = Stillness("camera"), noisy(scene())
    watched(stillness, forever(lambda: noisy(scene())), make, 5)
    assert watched(stillness, forever(lambda: same), make, 9, from_s=5.2) == ""
    assert watched(stillness, forever(lambda: same), make, 4, from_s=14.4) == "frozen"
    assert stillness.status.startswith("frozen: the same picture for 1")
    assert watched(stillness, forever(lambda: noisy(scene())), make, 2, from_s=18.6) == ""
    assert stillness.status == ""


def test_one_new_picture_alone_does_not_end_it_and_two_do() -> None:
    """An encoder's rate control may come to a quality that it had not used before."""
    stillness, same = Stillness("camera"), noisy(scene())
    watched(stillness, forever(lambda: noisy(scene())), raw, 5)
    watched(stillness, forever(lambda: same), raw, 15, from_s=5.2)
    stillness.look(raw(noisy(scene()), 21_500.0))
    assert stillness.problem == "frozen"
    stillness.look(raw(same, 22_500.0))
    stillness.look(raw(noisy(scene()), 23_500.0))
    assert stillness.problem == "frozen"
    stillness.look(raw(noisy(scene()), 24_500.0))
    assert stillness.problem == ""


def test_the_same_picture_with_a_number_in_a_comment_is_frozen() -> None:
    stillness, frozen = Stillness("camera"), jpeg(noisy(scene()), 0.0).jpeg
    assert frozen is not None
    for tick in range(60):
        number = b"%06d" % tick
        comment = b"\xff\xfe" + (len(number) + 2).to_bytes(2, "big") + number
        stillness.look(Picture.of_jpeg(frozen[:2] + comment + frozen[2:], tick * 200.0))
    assert stillness.problem == "frozen"


def test_the_same_picture_in_a_quality_that_goes_to_and_fro_is_frozen() -> None:
    stillness, frozen = Stillness("camera"), noisy(scene())
    for tick in range(100):
        quality = [cv2.IMWRITE_JPEG_QUALITY, (60, 70, 65)[tick // 5 % 3]]
        data = cv2.imencode(".jpg", frozen, quality)[1].tobytes()
        stillness.look(Picture.of_jpeg(data, tick * 200.0))
    assert stillness.problem == "frozen"


def test_people_that_leave_a_room_do_not_make_it_frozen() -> None:
    """The noise is learnt where nobody moves."""
    stillness, room = Stillness("camera"), scene()

    def with_somebody() -> Pixels:
        place = int(_CHANCE.integers(100))
        picture = room.copy()
        picture[30:, place : place + 50] = _CHANCE.integers(0, 255, (1, 1, 3))
        return noisy(picture)

    watched(stillness, forever(with_somebody), raw, 30)
    assert watched(stillness, forever(lambda: noisy(room, 0.7)), raw, 60, from_s=30.2) == ""


def video(path: Path, *numbers: int) -> Path:
    """Seconds that live, seconds frozen, frames from key frame to key frame, kbit/s."""
    script = Path(__file__).with_name("still_videos.py")
    command = ["/usr/bin/python3", str(script), str(path), *map(str, numbers)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode or not path.exists():
        missing("no H.264 encoder: apt install python3-gi gstreamer1.0-plugins-{bad,ugly}")
    return path


def problems(path: Path) -> list[tuple[float, str]]:
    """Of each frame of a video: seconds and what is wrong."""
    stillness, problems_at = Stillness("stream"), []
    capture = FfmpegVideo(str(path), "video")
    while capture.grab():
        stillness.look(capture.retrieve(capture.at_ms))
        problems_at.append((capture.at_ms / 1000, stillness.problem))
    return problems_at


@pytest.mark.parametrize(("gop", "kbit_s"), [(16, 50), (16, 300), (600, 100)])
def test_ten_minutes_of_a_still_room_through_h264_are_not_frozen(
    tmp_path: Path, gop: int, kbit_s: int
) -> None:
    result = problems(video(tmp_path / "room.mkv", 600, 0, gop, kbit_s))
    assert result[-1][0] > 590
    assert {problem for _, problem in result} == {""}


@pytest.mark.parametrize("kbit_s", [100, 300, 2000])
def test_a_camera_frozen_behind_a_rate_controlled_encoder_is_noticed(
    tmp_path: Path, kbit_s: int
) -> None:
    result = problems(video(tmp_path / "room.mkv", 60, 60, 16, kbit_s))
    assert {problem for at_s, problem in result if at_s < 60} == {""}
    assert {problem for at_s, problem in result if at_s > 110} == {"frozen"}


@BOTH
@pytest.mark.parametrize(
    ("luma", "deviation", "problem"),
    [(0, 0.0, "black"), (6, 3.0, "black"), (10, 5.0, "black"), (180, 1.0, "blank")],
)
def test_no_light_is_black_and_an_even_surface_is_blank(
    make: Make, luma: int, deviation: float, problem: str
) -> None:
    stillness = Stillness("camera")
    covered = forever(lambda: noisy(plain(luma), deviation))
    assert watched(stillness, covered, make, 9) == ""
    assert watched(stillness, covered, make, 8, from_s=9.2) == problem
    assert watched(stillness, forever(lambda: noisy(scene())), make, 6, from_s=17.4) == ""


@BOTH
def test_a_dim_room_with_one_lamp_is_not_black(make: Make) -> None:
    room = plain(5)
    room[20:60, 100:140] = 90
    assert watched(Stillness("camera"), forever(lambda: noisy(room)), make, 30) == ""


def test_pictures_and_files_may_repeat_themselves_and_cameras_may_not() -> None:
    for kind, may_repeat in (
        (PictureFolder, True), (VideoFile, True), (Stream, False), (HttpCamera, False),
        (SimulatedCamera, False),
    ):  # fmt: skip
        assert kind.may_repeat is may_repeat
    assert not open_source("0").may_repeat
    same = noisy(scene())
    assert watched(Stillness("f", may_repeat=True), forever(lambda: same), jpeg, 60) == ""


def test_the_words_are_those_that_the_others_know() -> None:
    assert tuple(PROBLEMS) == PICTURE_PROBLEMS


def test_a_source_that_was_closed_begins_anew() -> None:
    stillness, same = Stillness("camera"), noisy(scene())
    assert watched(stillness, forever(lambda: same), jpeg, 12) == "frozen"
    stillness.forget()
    assert stillness.problem == stillness.status == ""
    assert watched(stillness, forever(lambda: same), jpeg, 8, from_s=13) == ""


def test_a_picture_that_does_not_decode_is_not_called_black() -> None:
    broken = jpeg(plain(0), 0.0)
    assert broken.jpeg is not None
    stillness = Stillness("camera")
    for tick in range(30):
        cut = broken.jpeg[: 300 + tick]
        stillness.look(Picture(tick * 1000.0, 160, 120, jpeg=cut))
    assert stillness.problem == ""


def test_a_look_that_is_not_due_costs_next_to_nothing() -> None:
    """Twenty thousand of them in a fraction of what as many looks would take (seconds)."""
    stillness, picture = Stillness("camera"), jpeg(scene(), 0.0)
    stillness.look(picture)
    began = time.process_time()
    for _ in range(20_000):
        stillness.look(picture)
    assert time.process_time() - began < 0.5


def test_what_is_frozen_is_told_in_the_log_once_and_its_end_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stillness, same = Stillness("webcam 0"), noisy(scene())
    with caplog.at_level("INFO", "camera_node"):
        watched(stillness, forever(lambda: same), jpeg, 3 * STILL_AFTER_MS / 1000)
        watched(stillness, forever(lambda: noisy(scene())), jpeg, 5, from_s=31)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert messages[0].startswith("webcam 0 is frozen: the same picture for")
    assert messages[1] == "webcam 0 is no longer frozen"
