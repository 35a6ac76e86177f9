"""Collecting labelled crops: what is cut, what each key does, and a session in a real terminal."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("onnxruntime")

from roommood.camera_node.sources.open import open_source
from roommood.inference_worker.models.contract import CropContract, Placement
from roommood.inference_worker.vision.faces import BoxStyle, Detection
from roommood.inference_worker.vision.opencv import Picture, cv2
from roommood.shared.errors import ConfigError, ModelError
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.collect.collect import (
    FaceCrop,
    FaceFinder,
    expression_for,
    label_all,
    label_each,
)
from roommood.training.collect.collection import (
    Collection,
    count,
    margin_of,
    session_name,
    session_of,
)

CROP = CropContract("sqrt", haar=Placement(1.0))
SESSION = "20260304T050607-0a1b"


class TwoFaces:
    """A detector that sees a small and a large face in each picture."""

    detector_id = "two"
    provider = "cpu"
    box_style: BoxStyle = "haar"
    reads_gray = False

    def detect(self, picture: Picture) -> list[Detection]:
        assert picture.ndim == 3
        return [Detection(10, 10, 30, 30, 0.9), Detection(100, 60, 80, 80, 0.8)]

    def self_test(self) -> None:
        pass


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return Collection(tmp_path / "faces", SESSION)


def faces(number: int) -> list[FaceCrop]:
    return [FaceCrop(np.full((72, 72, 3), 10 * n, np.uint8), 60.0) for n in range(1, number + 1)]


def typing(keys: str) -> Callable[[FaceCrop, dict[str, int]], str]:
    typed = iter(keys)
    return lambda _face, _counts: next(typed, "")


def kept(collection: Collection) -> list[str]:
    return sorted(path.parent.name for path in collection.folder.rglob("*.jpg"))


def test_a_crop_has_a_quarter_of_its_side_more_on_each_edge() -> None:
    picture = np.zeros((240, 320, 3), np.uint8)
    picture[40:160, 80:200] = 255  # 20 px around the large face
    (large, small) = FaceFinder(TwoFaces(), CROP, 16).faces_in(picture)
    assert large.pixels.shape == (120, 120, 3)
    assert large.pixels.min() > 250
    assert (large.side_px, small.side_px) == (80, 30)


def test_small_faces_are_left_out() -> None:
    finder = FaceFinder(TwoFaces(), CROP, 48)
    assert [face.side_px for face in finder.faces_in(np.zeros((240, 320, 3), np.uint8))] == [80]


def test_a_classifier_without_a_crop_for_such_boxes_is_refused() -> None:
    with pytest.raises(ModelError, match="haar"):
        FaceFinder(TwoFaces(), CropContract("sqrt", tight=Placement(1.1)), 16)


def test_a_source_gives_its_faces_until_it_ends(tmp_path: Path) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), np.full((240, 320, 3), 90, np.uint8))
    source = open_source(str(tmp_path), rate_hz=1000, loop=False)
    assert len(list(FaceFinder(TwoFaces(), CROP, 48).faces_of(source))) == 3


def test_a_damaged_picture_is_counted_and_passed_over(tmp_path: Path) -> None:
    _, data = cv2.imencode(".jpg", np.full((240, 320, 3), 90, np.uint8))
    (tmp_path / "a.jpg").write_bytes(data.tobytes())
    broken = data.tobytes()
    at = broken.find(b"\xff\xc4")  # without its Huffman tables
    (tmp_path / "b.jpg").write_bytes(broken[: at + 4] + bytes(24) + broken[at + 28 :])
    finder = FaceFinder(TwoFaces(), CROP, 48)
    faces = list(finder.faces_of(open_source(str(tmp_path), rate_hz=1000, loop=False)))
    assert len(faces) + finder.damaged == 2


def test_letters_and_digits_name_the_expressions_in_the_wires_order() -> None:
    assert [expression_for(key) for key in "12345678"] == list(EXPRESSIONS)
    assert [expression_for(key) for key in "nhrsadfc"] == list(EXPRESSIONS)
    assert expression_for("9") is expression_for("x") is expression_for("") is None


def test_each_key_labels_one_face_and_space_skips(collection: Collection) -> None:
    assert label_each(faces(4), collection, typing("h n8")) == 3
    assert kept(collection) == ["contempt", "happiness", "neutral"]


def test_undo_takes_the_last_label_back_and_shows_that_face_again(collection: Collection) -> None:
    shown: list[int] = []
    keys = iter("hsuan")

    def ask(face: FaceCrop, counts: dict[str, int]) -> str:
        shown.append(int(face.pixels[0, 0, 0]))
        return next(keys)

    assert label_each(faces(3), collection, ask) == 3
    assert shown == [10, 20, 30, 20, 30]
    assert kept(collection) == ["anger", "happiness", "neutral"]
    assert collection.counts["sadness"] == 0


def test_undo_at_the_start_and_keys_without_meaning_change_nothing(collection: Collection) -> None:
    assert label_each(faces(1), collection, typing("u9xh")) == 1
    assert kept(collection) == ["happiness"]


@pytest.mark.parametrize("end", ["q", ""])
def test_quitting_keeps_what_was_labelled(end: str, collection: Collection) -> None:
    assert label_each(faces(5), collection, typing("hh" + end)) == 2
    assert kept(collection) == ["happiness", "happiness"]


def test_counts_are_those_of_the_folder_and_shown_at_each_face(collection: Collection) -> None:
    label_all(faces(2), collection, "anger", 10, lambda _: None)
    again = Collection(collection.folder, "20260304T060000-0000")
    seen: list[int] = []

    def ask(face: FaceCrop, counts: dict[str, int]) -> str:
        seen.append(counts["anger"])
        return "a"

    label_each(faces(2), again, ask)
    assert seen == [2, 3]
    assert count(collection.folder)["anger"] == 4


def test_one_label_for_all_stops_at_its_limit(collection: Collection) -> None:
    progress: list[int] = []
    assert label_all(faces(9), collection, "fear", 3, progress.append) == 3
    assert progress == [1, 2, 3]
    assert kept(collection) == ["fear"] * 3


def test_a_file_name_tells_the_session_and_never_a_person(collection: Collection) -> None:
    path = collection.keep("fear", faces(1)[0].pixels).path
    assert path.name == f"{SESSION}-00000.jpg"
    assert session_of(path.name) == SESSION
    assert session_of("holiday-00001.jpg") is None


def test_session_names_of_one_second_differ() -> None:
    from tests.training.collect.test_consent import NOW

    assert session_name(NOW, 0x0A1B) == SESSION
    assert session_name(NOW, 1) != SESSION


def test_a_folder_of_other_pictures_is_not_mixed_with_collected_ones(tmp_path: Path) -> None:
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy" / "tight.png").write_bytes(b"")
    with pytest.raises(ConfigError, match="another folder"):
        Collection(tmp_path, SESSION)
    assert margin_of(tmp_path) == 0


def run_collect(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "roommood.training.cli", "collect", *arguments]


def test_without_a_terminal_label_and_consent_must_be_given(tmp_path: Path) -> None:
    done = subprocess.run(
        run_collect(str(tmp_path / "x"), "--label", "happy"),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--i-have-consent" in done.stderr
    assert not (tmp_path / "x").exists()


def test_it_tells_how_many_pictures_had_no_usable_face_and_why(tmp_path: Path) -> None:
    data = pytest.importorskip("skimage.data")
    astronaut = cv2.imread(str(Path(data.__file__).parent / "astronaut.png"))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    small = cv2.resize(astronaut, None, fx=0.4, fy=0.4)
    for name, picture in (("a", astronaut), ("b", small), ("c", np.zeros_like(astronaut))):
        cv2.imwrite(str(pictures / f"{name}.jpg"), picture)
    options = ("--label", "happy", "--source", str(pictures), "--i-have-consent")
    folder = tmp_path / "faces"
    done = subprocess.run(
        run_collect(str(folder), *options, "--min-face", "60"),
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert count(folder)["happiness"] == 1
    assert (
        "no usable face in 2 of 3 pictures: 1 with none found, 1 with smaller ones than 60 pixels "
        "(--min-face)"
    ) in done.stdout


def test_a_person_labels_a_photograph_in_a_terminal(tmp_path: Path) -> None:
    data = pytest.importorskip("skimage.data")
    photograph = Path(data.__file__).parent / "astronaut.png"
    folder = tmp_path / "faces"
    ours, theirs = pty.openpty()
    command = run_collect(str(folder), "--source", str(photograph), "--detector", "haar")
    child = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs,
        env=os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "100"},
    )  # fmt: skip
    os.close(theirs)
    shown = until(ours, 'Type "yes"')
    os.write(ours, b"yes\n")
    shown += until(ours, "q quit")
    os.write(ours, b"\x1b[Ah")  # an arrow up, which is no anger, then a label
    shown += until(ours, "contempt ", after="kept in")
    child.wait(30)
    os.close(ours)
    assert child.returncode == 0
    assert "GDPR" in shown
    assert "▀" in shown
    assert count(folder)["happiness"] == 1
    assert sum(count(folder).values()) == 1
    assert "by typing yes" in (folder / "CONSENT.txt").read_text()


def until(terminal: int, text: str, after: str = "", seconds: float = 60) -> str:
    """What the terminal shows until `text` came, after `after`."""
    shown, end = b"", time.monotonic() + seconds
    while text not in shown.decode("utf-8", "ignore").partition(after or "\0")[2 if after else 0]:
        assert select.select([terminal], [], [], max(0, end - time.monotonic()))[0], shown
        shown += os.read(terminal, 65536)
    return shown.decode("utf-8", "ignore")
