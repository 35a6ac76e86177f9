"""The simulated camera: real photographs, faces in view, the same for the same name."""

import importlib.util
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from roommood.camera_node.sources.open import open_source
from roommood.camera_node.sources.picture import Interrupted
from roommood.camera_node.sources.pictures import read_pixels
from roommood.camera_node.sources.simulated import (
    Photograph,
    SimulatedCamera,
    SimulatedScene,
    find_face,
    packaged_photographs,
    photograph_of,
)
from roommood.shared.errors import SourceError
from roommood.shared.opencv import Pixels, cv2


@pytest.fixture(scope="module")
def photographs() -> list[Photograph]:
    return [photograph_of(read_pixels(path)) for path in packaged_photographs()]


def scene_of(photographs: list[Photograph], name: str, people: int = 1) -> SimulatedScene:
    return SimulatedScene(photographs, width=640, height=480, people=people, name=name)


def faces_in(pixels: Pixels) -> list[int]:
    """Sides in pixels of the faces that a detector finds."""
    data = cv2.data.haarcascades  # type: ignore[attr-defined]
    cascade = cv2.CascadeClassifier(data + "haarcascade_frontalface_default.xml")
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    return [int(box[2]) for box in cascade.detectMultiScale(grey, 1.1, 5, minSize=(50, 50))]


def test_the_photographs_inside_packages_show_one_face_each() -> None:
    paths = packaged_photographs()
    assert [path.name for path in paths] == ["astronaut.png", "grace_hopper.jpg"]
    astronaut, hopper = (find_face(read_pixels(path)) for path in paths)
    assert astronaut.x == pytest.approx(224, abs=15)
    assert astronaut.y == pytest.approx(114, abs=15)
    assert hopper.x == pytest.approx(265, abs=20)
    assert hopper.y == pytest.approx(216, abs=20)


@pytest.mark.parametrize("people", [1, 2])
def test_every_person_is_found_in_nearly_every_picture(
    photographs: list[Photograph], people: int
) -> None:
    scene = scene_of(photographs, "kitchen-1", people)
    faces_seen = [faces_in(scene.draw(2.0 * n)) for n in range(10)]
    assert sum(len(faces) >= people for faces in faces_seen) >= 9
    sides = [side for faces in faces_seen for side in faces]
    assert min(sides) < 100
    assert 150 < max(sides) < 230


def test_the_same_name_and_time_give_the_same_picture(photographs: list[Photograph]) -> None:
    first, same, other = (scene_of(photographs, name) for name in ("a", "a", "b"))
    assert (first.draw(3.2) == same.draw(3.2)).all()
    assert (first.draw(3.2) != other.draw(3.2)).any()


def test_the_picture_moves_smoothly_but_always_moves(photographs: list[Photograph]) -> None:
    scene = scene_of(photographs, "a")
    pictures = [scene.draw(n / 15).astype(int) for n in range(30)]
    changes = [np.abs(after - before).mean() for before, after in pairwise(pictures)]
    assert min(changes) > 0
    assert sorted(changes)[-2] < 15, "at most one cut from one photograph to the next in 2 s"


def test_it_reads_as_a_camera_of_the_size_and_rate_asked_for() -> None:
    source = open_source("simulated?people=2", rate_hz=500.0, width=320, height=240, name="x")
    with source:
        first, second = source.read(), source.read()
    assert (source.width, source.height, source.rate_hz) == (320, 240, 500.0)
    assert first.pixels is not None
    assert first.pixels.shape == (240, 320, 3)
    assert first.pixels.dtype == np.uint8
    assert second.captured_ms > first.captured_ms


def test_it_starts_again_where_it_began_when_opened_again() -> None:
    source = SimulatedCamera(rate_hz=1000.0, name="x")
    with source:
        first = source.read()
    with source:
        again = source.read()
    assert (first.pixels == again.pixels).all()  # type: ignore[union-attr]


def test_it_takes_photographs_from_a_folder_and_leaves_out_what_is_broken(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"broken")
    (tmp_path / "b.jpg").write_bytes(packaged_photographs()[1].read_bytes())
    with SimulatedCamera(tmp_path, rate_hz=1000.0) as source:
        picture = source.read()
    assert picture.pixels is not None
    assert len(faces_in(picture.pixels)) == 1


def test_a_photograph_without_a_face_is_panned_over_all_the_same() -> None:
    plain = photograph_of(np.full((300, 200, 3), 90, np.uint8))
    for width, height, people in ((64, 48, 1), (16, 16, 4), (17, 480, 3)):
        scene = SimulatedScene([plain], width=width, height=height, people=people, name="x")
        assert scene.draw(0.0).shape == (height, width, 3)


@pytest.mark.parametrize("content", [None, b"broken"])
def test_a_folder_without_photographs_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(SourceError, match="no photograph in"):
        SimulatedCamera(tmp_path).open()
    with pytest.raises(SourceError, match="cannot be listed"):
        SimulatedCamera(tmp_path / "missing").open()


def test_without_the_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SourceError, match=r"pip install .*\[demo\].*simulated:DIR"):
        SimulatedCamera().open()


def test_an_opencv_without_its_cascades_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2, "data")
    with pytest.raises(SourceError, match="opencv-python-headless"):
        SimulatedCamera().open()


def test_its_wait_can_be_interrupted() -> None:
    with SimulatedCamera(rate_hz=0.01) as source:
        source.read()
        source.interrupt()
        with pytest.raises(Interrupted):
            source.read()
