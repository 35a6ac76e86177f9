"""One picture from a program: its pixels, bytes or path, and what is given by mistake."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roommood import PictureError, SourceError, analyse_picture, analyse_pictures, analyse_video
from roommood.shared.opencv import Pixels, cv2
from tests.inference_worker.pictures import ASTRONAUT_FACE, astronaut, jpeg, overlap


def file_bytes(pixels: Pixels, ending: str) -> bytes:
    return cv2.imencode(ending, pixels)[1].tobytes()


def grey() -> Any:
    return cv2.cvtColor(astronaut(), cv2.COLOR_BGR2GRAY)


@pytest.mark.parametrize(
    "given",
    [
        astronaut,
        lambda: astronaut()[..., ::-1],
        grey,
        lambda: grey()[..., None],
        lambda: jpeg(astronaut()),
        lambda: file_bytes(astronaut(), ".png"),
        lambda: memoryview(jpeg(astronaut())),
    ],
    ids=["pixels", "red first", "grey", "grey with a channel", "JPEG", "PNG", "memoryview"],
)
def test_a_picture_is_taken_as_programs_have_it(given: Callable[[], Any]) -> None:
    (face,) = analyse_picture(given())
    assert overlap(face.box, ASTRONAUT_FACE) > 0.5
    assert (face.dominant, face.sure) == ("happiness", True)


def test_a_path_gives_what_its_bytes_give(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(astronaut()))
    assert analyse_picture(path) == analyse_picture(str(path)) == analyse_picture(path.read_bytes())


def test_a_picture_that_shows_nobody_has_no_faces() -> None:
    assert analyse_picture(np.full((200, 300, 3), 90, np.uint8)) == ()


@pytest.mark.parametrize("ending", ["", ".png", ".jpg"])
def test_boxes_are_in_the_pixels_that_were_given_however_many(ending: str) -> None:
    large = cv2.resize(astronaut(), (4096, 3072)).astype(np.uint8)
    (face,) = analyse_picture(file_bytes(large, ending) if ending else large)
    left, top, width, height = ASTRONAUT_FACE
    assert overlap(face.box, (left * 8, top * 6, width * 8, height * 6)) > 0.5


def test_boxes_of_a_large_picture_are_those_of_the_upright_one() -> None:
    large = cv2.resize(astronaut(), (4096, 3072)).astype(np.uint8)
    # As OpenCV types it: no check of types may ask for a conversion.
    lying = cv2.rotate(large, cv2.ROTATE_90_COUNTERCLOCKWISE)
    (face,) = analyse_picture(lying, rotation=90)
    left, top, width, height = ASTRONAUT_FACE
    assert overlap(face.box, (left * 8, top * 6, width * 8, height * 6)) > 0.5


@pytest.mark.parametrize(
    ("given", "todo"),
    [
        (lambda: astronaut() / 255, r"float64: .* \(picture \* 255\)\.round\(\)"),
        (lambda: cv2.cvtColor(astronaut(), cv2.COLOR_BGR2BGRA), "COLOR_BGRA2BGR"),
        (lambda: astronaut().transpose(2, 0, 1), r"transpose\(1, 2, 0\)"),
        (lambda: astronaut()[None], "one picture at a time"),
        (lambda: astronaut()[600:], "it is empty"),
        (lambda: np.array([]), "it is empty"),
        (lambda: np.zeros((9, 9, 2), np.uint8), "3 channels"),
        (lambda: np.zeros(9, np.uint8), "height, width"),
        (lambda: astronaut()[:10], "at least 16x16"),
        (lambda: np.broadcast_to(np.uint8(0), (9_000, 9_000)), "make it smaller"),
        (lambda: b"", "0 bytes"),
        (lambda: jpeg(astronaut())[:5_000], "cut off"),
    ],
)
def test_pixels_that_cannot_be_meant_are_refused_with_what_to_do(
    given: Callable[[], Any], todo: str
) -> None:
    with pytest.raises(PictureError, match=todo):
        analyse_picture(given())


@pytest.mark.parametrize(
    ("given", "todo"),
    [
        (None, "cv2.imread gives that"),
        (["a.jpg"], "its path"),
        (0, "its path"),
    ],
)
def test_what_is_no_picture_is_refused(given: Any, todo: str) -> None:
    with pytest.raises(TypeError, match=todo):
        analyse_picture(given)


def test_of_an_image_of_pillow_it_is_said_how_to_give_it() -> None:
    image = pytest.importorskip("PIL.Image").fromarray(astronaut()[..., ::-1])
    with pytest.raises(TypeError, match=r"numpy\.asarray") as refused:
        analyse_picture(image)
    code = str(refused.value).partition("give ")[2]
    (face,) = analyse_picture(eval(code, {"numpy": np, "image": image}))
    assert face.dominant == "happiness"


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"nope\.jpg"):
        analyse_picture("nope.jpg")


ADDRESSES = [
    ("https://u:secret@example.org/a.jpg", "https://example.org is an address.*fetch"),
    ("rtsp://u:secret@192.0.2.1/x", "camera-node --source"),
    ("data:image/jpeg;base64,/9j/", "base64.b64decode"),
    (base64.b64encode(bytes(5_000)).decode(), "base64.b64decode"),
]


@pytest.mark.parametrize("analyse", [analyse_picture, analyse_pictures, analyse_video])
@pytest.mark.parametrize(("address", "todo"), ADDRESSES)
def test_an_address_is_no_missing_file(
    analyse: Callable[[str], Any], address: str, todo: str
) -> None:
    with pytest.raises(SourceError, match=todo) as refused:
        analyse(address)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("analyse", [analyse_pictures, analyse_video])
def test_pixels_go_to_analyse_picture(analyse: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="analyse_picture"):
        analyse(astronaut())


def test_the_models_are_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    analyse_picture(astronaut())
    monkeypatch.setattr("onnxruntime.InferenceSession", None)
    assert analyse_picture(astronaut())
