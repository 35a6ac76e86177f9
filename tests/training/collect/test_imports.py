"""Public sets into the layout that training reads, as a whole or not at all."""

import struct
import zlib
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tests.training.collecting import collected_names, write_pictures

pytest.importorskip("cv2")

from roommood.inference_worker.evaluation.ferplus import majority_labels, read_split
from roommood.shared.errors import ConfigError
from roommood.training.collect.collection import DESCRIPTION
from roommood.training.collect.imports import import_fer2013, import_folders

HEAD = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
USAGES = ["Training", "Training", "Training", "PublicTest", "PrivateTest"]


def pixels(number: int) -> str:
    return " ".join([str(number)] * (48 * 48))


def pixel_file(folder: Path, usages: Iterable[str] = USAGES) -> Path:
    rows = [f"0,{pixels(n)},{usage}" for n, usage in enumerate(usages)]
    return written(folder / "fer2013.csv", "emotion,pixels,Usage", rows)


def vote_file(folder: Path, usages: Iterable[str] = USAGES) -> Path:
    rows = [f"{usage},fer{n:07d}.png,1,9,0,0,0,0,0,0,0,0" for n, usage in enumerate(usages)]
    rows[1] = f"{USAGES[1]},,0,0,0,0,0,0,0,0,0,10"
    return written(folder / "fer2013new.csv", HEAD, rows)


def written(path: Path, head: str, rows: list[str]) -> Path:
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def test_rows_of_both_files_become_three_splits_without_faceless_pictures(tmp_path: Path) -> None:
    counts = import_fer2013(pixel_file(tmp_path), vote_file(tmp_path), tmp_path / "out")
    assert counts == {"FER2013Train": 2, "FER2013Valid": 1, "FER2013Test": 1}
    train = read_split(tmp_path / "out" / "FER2013Train")
    assert train.names == ("fer0000000.png", "fer0000002.png")
    assert (train.pictures[1] == 2).all()
    assert majority_labels(train.votes).tolist() == [1, 1]


def test_the_columns_of_the_other_published_file_are_read_by_name(tmp_path: Path) -> None:
    rows = [f"0, {usage}, {pixels(n)}" for n, usage in enumerate(USAGES)]
    other = written(tmp_path / "icml_face_data.csv", "emotion, Usage, pixels", rows)
    counts = import_fer2013(other, vote_file(tmp_path), tmp_path / "out")
    assert sum(counts.values()) == 4


def broken(folder: Path, case: str) -> tuple[Path, Path]:
    first, second = pixel_file(folder), vote_file(folder)
    if case == "usage":
        return pixel_file(folder, [*USAGES[:3], "PrivateTest", "PrivateTest"]), second
    if case == "short":
        return pixel_file(folder, USAGES[:4]), second
    target = second if case in {"votes", "name"} else first
    old, new = {
        "pixels": (pixels(3), pixels(3) + " 9"),
        "range": (pixels(3), pixels(300)),
        "number": (pixels(3), pixels(3).replace("3", "x", 1)),
        "column": ("pixels", "px"),
        "votes": ("fer0000003.png,1,9", "fer0000003.png,1,many"),
        "name": ("fer0000003.png", "../fer3.png"),
    }[case]
    target.write_text(target.read_text().replace(old, new, 1))
    return first, second


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("usage", r"fer2013new\.csv, line 5: its usage is 'PublicTest'"),
        ("short", r"fer2013new\.csv, line 6: fer2013\.csv has no row"),
        ("pixels", r"fer2013\.csv, line 5: 2305 pixels"),
        ("range", r"fer2013\.csv, line 5"),
        ("number", r"fer2013\.csv, line 5: a pixel is not a number"),
        ("column", r"fer2013\.csv, line 1: no column 'pixels'"),
        ("votes", r"fer2013new\.csv, line 5: votes"),
        ("name", r"fer2013new\.csv, line 5: the image name"),
    ],
)
def test_what_does_not_match_is_named_by_line_and_leaves_nothing(
    case: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        import_fer2013(*broken(tmp_path, case), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fer2013.csv", "fer2013new.csv"]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept")
    with pytest.raises(ConfigError, match="there already"):
        import_fer2013(pixel_file(tmp_path), vote_file(tmp_path), tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "kept"


def test_folders_by_class_become_ten_votes_each(tmp_path: Path) -> None:
    source = tmp_path / "mine"
    write_pictures(source / "Happy", [f"{n}.png" for n in range(30)], side=60)
    write_pictures(source / "sad", [f"{n}.jpg" for n in range(20)], seed=1)
    counts = import_folders(source, tmp_path / "out", 30)
    assert sum(of["happiness"] for of in counts.values()) == 30
    assert sum(of["sadness"] for of in counts.values()) == 20
    assert min(sum(of.values()) for of in counts.values()) > 0
    splits = [read_split(tmp_path / "out" / name) for name in counts]
    labels = np.concatenate([majority_labels(split.votes) for split in splits])
    assert np.bincount(labels).tolist() == [0, 30, 0, 20]


def test_a_set_in_parts_keeps_them(tmp_path: Path) -> None:
    source = tmp_path / "set"
    for seed, (part, expression) in enumerate(product(("Train", "test"), ("happy", "sad"))):
        write_pictures(source / part / expression, [f"{n}.jpg" for n in range(9)], seed=seed)
    counts = import_folders(source, tmp_path / "out")
    for split, part in (("FER2013Train", "Train"), ("FER2013Valid", "test")):
        assert sum(counts[split].values()) == 18
        assert _contents(tmp_path / "out" / split) == _contents(source / part)
    assert set(counts) == {"FER2013Train", "FER2013Valid"}


def test_where_a_set_has_both_they_stay_apart(tmp_path: Path) -> None:
    for seed, part in enumerate(("train", "validation", "test")):
        write_pictures(tmp_path / "set" / part / "fear", [f"{n}.jpg" for n in range(5)], seed=seed)
    counts = import_folders(tmp_path / "set", tmp_path / "out")
    splits = ("FER2013Train", "FER2013Valid", "FER2013Test")
    for split, part in zip(splits, ("train", "validation", "test"), strict=True):
        assert counts[split]["fear"] == 5
        assert _contents(tmp_path / "out" / split) == _contents(tmp_path / "set" / part)


def test_a_part_of_a_set_is_no_expression(tmp_path: Path) -> None:
    write_pictures(tmp_path / "set" / "test" / "fear", ["a.png"])
    with pytest.raises(ConfigError, match="a part of a set, no expression"):
        import_folders(tmp_path / "set", tmp_path / "out")
    write_pictures(tmp_path / "set" / "train" / "fear", ["a.png"])
    write_pictures(tmp_path / "set" / "extra", ["a.png"])
    with pytest.raises(ConfigError, match=r"extra: beside train/"):
        import_folders(tmp_path / "set", tmp_path / "out")


def test_pictures_of_every_kind_and_in_folders_of_people_are_taken(tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "fear"
    write_pictures(folder, ["a.webp", "b.bmp", "c.TIF", "d.jpg"])
    (folder / "d.jpg").rename(folder / "d.JFIF")
    write_pictures(folder / "somebody", ["e.png"], seed=1)
    write_pictures(folder / ".ipynb_checkpoints", ["e.png"], seed=1)
    (folder / "notes.txt").write_text("of no interest")
    counts = import_folders(tmp_path / "mine", tmp_path / "out")
    assert sum(of["fear"] for of in counts.values()) == 5


def test_what_macos_puts_into_a_zip_is_left_out(tmp_path: Path) -> None:
    write_pictures(tmp_path / "set" / "fear", ["a.png"])
    for folder in ("fear", "__MACOSX/fear"):
        hidden = tmp_path / "set" / folder / "._a.png"
        hidden.parent.mkdir(parents=True, exist_ok=True)
        hidden.write_bytes(b"\0\5\x16\7 of a Mac alone")
    counts = import_folders(tmp_path / "set", tmp_path / "out")
    assert sum(of["fear"] for of in counts.values()) == 1


def test_a_picture_too_large_to_read_is_named(tmp_path: Path) -> None:
    write_pictures(tmp_path / "mine" / "fear", ["a.png"])
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    packed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    huge = b"\x89PNG\r\n\x1a\n" + b"".join(packed)
    (tmp_path / "mine" / "fear" / "huge.png").write_bytes(huge)
    with pytest.raises(ConfigError, match=r"huge\.png: not a readable picture.*pixels"):
        import_folders(tmp_path / "mine", tmp_path / "out")


def test_a_kind_that_cannot_be_read_is_named_rather_than_left_out(tmp_path: Path) -> None:
    write_pictures(tmp_path / "mine" / "fear", ["a.png"])
    (tmp_path / "mine" / "fear" / "b.HEIC").write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"b\.HEIC cannot be read: heif-convert"):
        import_folders(tmp_path / "mine", tmp_path / "out")


def _contents(folder: Path) -> list[bytes]:
    import cv2

    pictures = (cv2.imread(str(path), 0) for path in folder.rglob("*.*g"))
    return sorted(picture.tobytes() for picture in pictures if picture is not None)


def test_collected_pictures_lose_their_margin(tmp_path: Path) -> None:
    import cv2

    (tmp_path / "mine" / "anger").mkdir(parents=True)
    framed = np.zeros((144, 144), np.uint8)
    framed[24:120, 24:120] = 200
    for name in collected_names("20260304T050607-0a1b", 3):
        cv2.imwrite(str(tmp_path / "mine" / "anger" / name), framed)
    (tmp_path / "mine" / DESCRIPTION).write_text('{"margin": 0.25}')
    counts = import_folders(tmp_path / "mine", tmp_path / "out", 10)
    split = next(name for name, of in counts.items() if any(of.values()))
    assert read_split(tmp_path / "out" / split).pictures.min() > 180


def test_an_unknown_class_is_an_error_with_the_nearest_and_leaves_nothing(tmp_path: Path) -> None:
    write_pictures(tmp_path / "mine" / "hapiness", ["a.png"])
    with pytest.raises(ConfigError, match="did you mean happiness"):
        import_folders(tmp_path / "mine", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_picture_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    write_pictures(tmp_path / "mine" / "fear", ["a.png"])
    (tmp_path / "mine" / "fear" / "b.png").write_text("no picture")
    with pytest.raises(ConfigError, match=r"b\.png: not a readable picture"):
        import_folders(tmp_path / "mine", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
