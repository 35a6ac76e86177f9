"""Labelled photographs go through the shipped detector and the product's crop."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from roommood.inference_worker.evaluation.faces import evaluate_faces
from roommood.inference_worker.evaluation.model_evaluation import evaluate_model
from roommood.inference_worker.evaluation.photographs import evaluate_photographs, has_photographs
from roommood.inference_worker.models.files import SHIPPED_EXPRESSION, SHIPPED_FACE
from roommood.inference_worker.vision.opencv import Picture, cv2
from roommood.shared.errors import ConfigError, PictureError
from tests.inference_worker.pictures import astronaut, grace_hopper, plain


def folder(data: Path, pictures: dict[str, tuple[Picture, str]]) -> Path:
    (data / "images").mkdir()
    rows = [f"{name},{label}\n" for name, (_, label) in pictures.items()]
    (data / "labels.csv").write_text("image,emotion\n" + "".join(rows))
    for name, (picture, _) in pictures.items():
        cv2.imwrite(str(data / "images" / name), picture)
    return data


def test_known_portraits_are_found_and_told(tmp_path: Path) -> None:
    smiling, calm = (astronaut(), "happiness"), (grace_hopper(), "neutral")
    data = folder(tmp_path, {"a.png": smiling, "b.png": calm, "c.png": (plain(90, 90), "fear")})
    result = evaluate_photographs(SHIPPED_EXPRESSION, data)
    assert result.n == 3
    assert result.found == pytest.approx(2 / 3, abs=1e-4)
    assert result.accuracy == result.mean_recall == result.mean_recall_by_px["64"] == 1.0
    assert result.recall["fear"] is None
    assert np.sum(result.confusion) == 2


def test_a_wrong_label_costs_its_expression_alone(tmp_path: Path) -> None:
    smiling, mislabelled = (astronaut(), "happiness"), (astronaut(), "sadness")
    data = folder(tmp_path, {"a.png": smiling, "b.png": smiling, "c.png": mislabelled})
    result = evaluate_photographs(SHIPPED_EXPRESSION, data)
    assert result.accuracy == pytest.approx(2 / 3, abs=1e-4)
    assert result.mean_recall == 0.5
    assert result.accuracy_of_sure_alike == 0.5
    assert result.ece_alike == pytest.approx(0.5, abs=0.2)


def test_other_words_than_the_eight_are_skipped_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = folder(tmp_path, {"a.png": (astronaut(), "happiness"), "b.png": (plain(9, 9), "joy")})
    assert evaluate_photographs(SHIPPED_EXPRESSION, data).n == 1
    assert "labels.csv: lines skipped for another word: 1 ('joy' in 1)" in capsys.readouterr().err


def test_a_table_without_one_of_the_eight_is_no_measurement(tmp_path: Path) -> None:
    data = folder(tmp_path, {"a.png": (plain(9, 9), "joy"), "b.png": (plain(9, 9), "3")})
    with pytest.raises(ConfigError, match=r"no line names .* \('joy' in 1, '3' in 1\): use these"):
        evaluate_photographs(SHIPPED_EXPRESSION, data)


@pytest.mark.parametrize(
    "table",
    [
        "\ufeffimage,emotion\r\na.png,happiness\r\n\r\n".encode(),
        b"image;emotion;by\na.png;happiness;me, and others\n",
        "image\temotion\na.png\thappiness\n".encode("utf-16"),
        b"Image, Emotion\n\n a.png, Happiness \n",
        b'image,emotion\n"a.png","happiness"\n',
    ],
)
def test_tables_are_read_as_spreadsheets_write_them(tmp_path: Path, table: bytes) -> None:
    data = folder(tmp_path, {"a.png": (astronaut(), "happiness")})
    (data / "labels.csv").write_bytes(table)
    result = evaluate_photographs(SHIPPED_EXPRESSION, data)
    assert (result.n, result.accuracy) == (1, 1.0)


def test_such_a_folder_is_known_by_its_layout(tmp_path: Path) -> None:
    assert not has_photographs(tmp_path)
    data = folder(tmp_path, {"a.png": (astronaut(), "happiness")})
    assert evaluate_model("expression", data).task == "photographs"


@pytest.mark.parametrize(
    ("table", "error"),
    [
        (b"name,label\n", "line 1"),
        (b"", "line 1"),
        (b"image,emotion\n\na.png\n", "line 3: 1 column"),
        (b"image,emotion\nM\xfcller.png,fear\n", "line 2 has a letter .*save the file as UTF-8"),
        (b'image,emotion\n"a.png,fear\n', "line 2: not a row of CSV"),
    ],
)
def test_a_malformed_table_is_an_error_that_names_the_line(
    tmp_path: Path, table: bytes, error: str
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels.csv").write_bytes(table)
    with pytest.raises(ConfigError, match=error):
        evaluate_photographs(SHIPPED_EXPRESSION, tmp_path)


def test_pictures_that_are_missing_are_told_before_any_is_looked_at(tmp_path: Path) -> None:
    portrait = (astronaut(), "happiness")
    data = folder(tmp_path, {"a.png": portrait, "b.png": portrait, "c.png": portrait})
    (data / "images" / "a.png").write_bytes(b"no picture")
    (data / "images" / "c.png").unlink()
    with pytest.raises(PictureError, match=r"c\.png: no such file; of 3 pictures 1 are missing"):
        evaluate_photographs(SHIPPED_EXPRESSION, data)
    (data / "labels.csv").write_text("image,emotion\na.png,happiness\n")
    with pytest.raises(PictureError, match=r"a\.png: not a readable picture"):
        evaluate_photographs(SHIPPED_EXPRESSION, data)


def png(width: int, height: int) -> bytes:
    """A PNG that claims these sides, and has little more."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b"")
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (png(100_000, 100_000), "more than 64000000 pixels: make it smaller"),
        (b"\0\0\0\x18ftypheic" + bytes(99), "it is HEIC, whatever its name: convert it"),
        (b"", "a picture of 0 bytes"),
    ],
)
def test_a_picture_that_cannot_be_read_says_why(tmp_path: Path, content: bytes, why: str) -> None:
    data = folder(tmp_path, {"a.jpg": (astronaut(), "happiness")})
    (data / "images" / "a.jpg").write_bytes(content)
    with pytest.raises(PictureError, match=rf"a\.jpg: not a readable picture: .*{why}"):
        evaluate_photographs(SHIPPED_EXPRESSION, data)
    (data / "annotations").mkdir()
    with pytest.raises(PictureError, match=rf"a\.jpg: not a readable picture: .*{why}"):
        evaluate_faces(str(SHIPPED_FACE), data)
