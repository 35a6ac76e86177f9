"""The preview's picture: what a worker would get, with faces marked, and only while one looks."""

import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from roommood.camera_node.preview.viewer import Box, Preview, turned, unturned
from roommood.camera_node.sources.devices import who_holds
from roommood.shared.errors import ConfigError, SourceError
from roommood.shared.opencv import Pixels, decode
from roommood.shared.process.settings import PreviewSettings, load
from tests.end_to_end.site import until

WIDTH, HEIGHT = 64, 48
LEFT_HALF = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A red picture, as a source that plays for ever."""
    cv2.imwrite(str(tmp_path / "room.png"), np.full((HEIGHT, WIDTH, 3), (0, 0, 255), np.uint8))
    return tmp_path


def settings(source: Path | str, **more: object) -> PreviewSettings:
    return load(PreviewSettings, None, {"source": str(source), **more})


def is_red(pixels: Pixels) -> bool:
    blue, green, red = pixels.reshape(-1, 3).mean(axis=0)
    return bool(red > 200 and green < 60 and blue < 60)


def test_masks_of_the_settings_are_burnt_in_before_anybody_sees_them(room: Path) -> None:
    preview = Preview(settings(room, masks=[LEFT_HALF]))
    preview.start()
    pixels = decode(preview.view().jpeg)
    preview.stop()
    assert not is_red(pixels[:, : WIDTH // 2 - 4])
    assert is_red(pixels[:, WIDTH // 2 + 8 :])


def test_a_mask_drawn_holds_from_the_next_picture_on_until_it_is_taken_away(room: Path) -> None:
    preview = Preview(settings(room))
    preview.start()
    assert is_red(decode(preview.view().jpeg))
    preview.set_masks([LEFT_HALF])
    assert not is_red(decode(preview.view().jpeg)[:, : WIDTH // 2 - 4])
    with pytest.raises(ConfigError, match="crosses itself"):
        preview.set_masks([[[0, 0], [1, 1], [1, 0], [0, 0.5]]])
    assert preview.masks == [LEFT_HALF]
    preview.set_masks([])
    assert is_red(decode(preview.view().jpeg))
    preview.stop()


def test_faces_are_looked_for_upright_and_in_what_a_worker_would_get(room: Path) -> None:
    seen: list[Pixels] = []

    def find(pixels: Pixels) -> list[Box]:
        seen.append(pixels)
        return [(4.0, 6.0, 10.0, 12.0)]

    preview = Preview(settings(room, rotation=90, masks=[LEFT_HALF]), find)
    preview.start()
    view = preview.view()
    preview.stop()
    assert seen[0].shape == (WIDTH, HEIGHT, 3)
    assert not is_red(seen[0][: WIDTH // 2 - 4])
    assert view.faces == 1
    green = decode(view.jpeg)[:, :, 1] > 150
    assert green.any()


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_box_is_marked_where_it_lies_in_the_unturned_picture(rotation: int) -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[10:20, 30:50] = 255
    ys, xs = np.nonzero(turned(picture, rotation)[:, :, 0])
    x, y = float(xs.min()), float(ys.min())
    box = (x, y, float(xs.max()) + 1 - x, float(ys.max()) + 1 - y)
    assert unturned(box, WIDTH, HEIGHT, rotation) == (30, 10, 20, 10)


def test_the_source_is_closed_while_nobody_looks(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preview = Preview(settings(room))
    preview.start()
    preview.view()
    capture = preview._capture
    preview.rest_if_idle()
    assert capture.status == "ok"
    later = time.monotonic() + 6
    monkeypatch.setattr("roommood.camera_node.preview.viewer.time.monotonic", lambda: later)
    preview.rest_if_idle()
    until(lambda: capture.status == "paused", "the source is closed")
    assert is_red(decode(preview.view().jpeg))
    assert capture.status == "ok"
    preview.stop()


def test_a_preview_that_has_ended_shows_nothing(room: Path) -> None:
    preview = Preview(settings(room))
    preview.start()
    preview.stop()
    with pytest.raises(SourceError, match="has ended"):
        preview.view()


# Who holds a device


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path / "video0"
    path.touch()
    return path


def proc_of(folder: Path, pid: int, command: str, held: Path) -> Path:
    """A /proc with one process."""
    descriptors = folder / "proc" / str(pid) / "fd"
    descriptors.mkdir(parents=True)
    (descriptors / "3").symlink_to(held)
    (descriptors.parent / "cmdline").write_bytes(command.replace(" ", "\0").encode())
    return folder / "proc"


def test_a_camera_node_that_holds_the_device_is_named_with_what_to_do(tmp_path: Path) -> None:
    proc = proc_of(tmp_path, 77, "camera-node --name door", Path("/dev/video0"))
    output = who_holds("0", proc)
    assert "process 77" in output
    assert "systemctl stop" in output
    assert who_holds("1", proc) == ""
    assert "process 77" in who_holds("picamera", proc)


def test_another_program_is_named(tmp_path: Path) -> None:
    proc = proc_of(tmp_path, 78, "cheese\x1b[2J", Path("/dev/video0"))
    assert who_holds("/dev/video0", proc) == "process 78 holds it: cheese?[2J"


@pytest.mark.parametrize("source", ["simulated", "party.mp4", "rtsp://x/y", "photos/"])
def test_files_and_streams_belong_to_nobody(tmp_path: Path, source: str) -> None:
    assert who_holds(source, proc_of(tmp_path, 79, "x", Path("/dev/video0"))) == ""


def test_a_real_process_is_found_in_the_real_proc() -> None:
    command = [sys.executable, "-c", "import sys; f = open('/dev/full', 'wb'); print(flush=True);"
               "sys.stdin.read()"]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        output = who_holds("/dev/full")
        assert holder.stdin is not None
        holder.stdin.close()
    assert f"process {holder.pid}" in output or os.geteuid() != 0
