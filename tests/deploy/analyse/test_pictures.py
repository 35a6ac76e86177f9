"""Photographs without a site: the faces of each, and what is wrong with those that have none."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import roommood
from roommood.deploy.analyse.picture_table import as_csv, as_json
from roommood.deploy.analyse.pictures import PictureFaces, faces_of, files_of
from roommood.inference_worker.vision.analysis import Analyzer, open_analyzer
from roommood.shared.errors import SourceError
from roommood.shared.opencv import cv2
from roommood.shared.protocol.emotions import EXPRESSIONS
from tests.inference_worker.pictures import ASTRONAUT_FACE, astronaut, jpeg, overlap

# The start of any photograph of a telephone: a box "ftyp" of the brand "heic".
HEIC = b"\0\0\0\x18ftypheic" + bytes(200)


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return open_analyzer()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    (folder / "a,\n\udcff.jpg").write_bytes(jpeg(astronaut()))
    (folder / "empty room.jpg").write_bytes(jpeg(np.full((200, 300, 3), 90, np.uint8)))
    (folder / "cut.jpg").write_bytes(jpeg(astronaut())[:9_000])
    (folder / "heic.jpg").write_bytes(HEIC)
    (folder / "telephone.heic").write_bytes(HEIC)
    (folder / "zero.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no picture")
    (folder / "folder.jpg").mkdir()
    return folder


def of(photos: Path, analyzer: Analyzer, rotation: int = 0) -> dict[str, PictureFaces]:
    return {p.path.name: p for p in faces_of(files_of([photos]), analyzer, rotation)}


def test_a_face_has_its_box_and_what_it_shows(photos: Path, analyzer: Analyzer) -> None:
    picture = of(photos, analyzer)["a,\n\udcff.jpg"]
    assert picture.faces is not None
    (face,) = picture.faces
    assert overlap(face.box, ASTRONAUT_FACE) > 0.5
    assert face.dominant == "happiness"
    assert face.sure
    assert sum(face.expressions.values()) == pytest.approx(1, abs=0.001)
    assert (picture.width, picture.height, picture.problem) == (512, 512, None)


@pytest.mark.parametrize("turned", [cv2.ROTATE_90_COUNTERCLOCKWISE])
def test_boxes_are_of_the_upright_picture(turned: int, tmp_path: Path, analyzer: Analyzer) -> None:
    lying = cv2.rotate(astronaut()[:400], turned)
    (tmp_path / "lying.png").write_bytes(cv2.imencode(".png", lying)[1].tobytes())
    picture = of(tmp_path, analyzer, rotation=90)["lying.png"]
    assert (picture.width, picture.height) == (512, 400)
    assert picture.faces is not None
    assert overlap(picture.faces[0].box, ASTRONAUT_FACE) > 0.5


def test_nobody_is_another_answer_than_a_picture_that_cannot_be_used(
    photos: Path, analyzer: Analyzer
) -> None:
    pictures = of(photos, analyzer)
    assert pictures["empty room.jpg"].faces == ()
    problems = {
        name: picture.problem for name, picture in pictures.items() if picture.faces is None
    }
    assert set(problems) == {"cut.jpg", "heic.jpg", "telephone.heic", "zero.png"}
    assert "cut off" in str(problems["cut.jpg"])
    assert "HEIC, whatever its name" in str(problems["heic.jpg"])
    assert "heif-convert" in str(problems["telephone.heic"])


def test_csv_has_a_line_a_face_and_one_for_a_picture_without(
    photos: Path, analyzer: Analyzer
) -> None:
    text = "".join(as_csv(faces_of(files_of([photos]), analyzer)))
    rows = {
        Path(row["picture"]).name: row for row in csv.DictReader(text.splitlines(keepends=True))
    }
    assert rows["a,\n\\xff.jpg"]["dominant"] == "happiness"
    assert float(rows["a,\n\\xff.jpg"]["happiness"]) > 0.9
    assert (rows["empty room.jpg"]["faces"], rows["empty room.jpg"]["happiness"]) == ("0", "")
    assert (rows["cut.jpg"]["faces"], rows["cut.jpg"]["problem"] != "") == ("", True)


@pytest.mark.parametrize("name", ["=1+1.jpg", "@SUM(A1).jpg", "+1.jpg", "-1.jpg"])
def test_a_name_that_is_a_formula_is_none_to_a_spreadsheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, analyzer: Analyzer, name: str
) -> None:
    (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    text = "".join(as_csv(faces_of(files_of([Path(name)]), analyzer)))
    (row,) = csv.DictReader(text.splitlines())
    assert row["picture"] == f"./{name}"
    assert Path(row["picture"]).exists()


def test_json_has_an_object_a_picture(photos: Path, analyzer: Analyzer) -> None:
    lines = [json.loads(line) for line in as_json(faces_of(files_of([photos]), analyzer))]
    pictures = {Path(line["picture"]).name: line for line in lines}
    (face,) = pictures["a,\n\\xff.jpg"]["faces"]
    assert (face["dominant"], set(face["expressions"])) == ("happiness", set(EXPRESSIONS))
    assert pictures["empty room.jpg"]["faces"] == []
    assert pictures["zero.png"]["faces"] is None


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "100APPLE").mkdir()
    with pytest.raises(SourceError, match=r"holds no picture.*'100APPLE' is the first"):
        files_of([tmp_path])


def test_what_else_lies_in_a_folder_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.jpg", "a.mp4", "a.heic"):
        (tmp_path / name).touch()
    assert [file.name for file in files_of([tmp_path])] == ["a.heic", "a.jpg"]
    (message,) = caplog.messages
    assert message.endswith("videos that end in .mp4 are left out: give each by itself")


def test_python_needs_one_import(photos: Path) -> None:
    (picture,) = roommood.analyse_pictures(photos / "empty room.jpg")
    assert picture.faces == ()


def test_the_command_names_what_cannot_be_used_and_ends_with_1(photos: Path) -> None:
    code = "from roommood.deploy.cli import main; main()"
    command = [sys.executable, "-c", code, "analyse", str(photos), "--csv"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "a,\n\\xff.jpg" in done.stdout.decode()  # so that what reads it fails at no name
    *problems, last = done.stderr.decode().splitlines()
    assert len(problems) == 4 + 1  # a folder lies among them
    assert last == "error: 4 of 6 pictures cannot be used: see above"
