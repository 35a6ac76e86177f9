"""Measuring a detector: average precision by hand, and a detector whose boxes are known."""

from pathlib import Path

import numpy as np
import pytest

from roommood.inference_worker.evaluation.average_precision import (
    Judged,
    Question,
    average_precision,
    iou_matrix,
)
from roommood.inference_worker.evaluation.faces import evaluate_faces
from roommood.inference_worker.evaluation.voc import read_photographs
from roommood.inference_worker.vision.opencv import Picture
from roommood.shared.errors import ConfigError, ModelError, PictureError
from tests.inference_worker.evaluation.evaluation_data import Box, add_photograph, voc_folder
from tests.inference_worker.pictures import astronaut, plain
from tests.inference_worker.tiny_models import expression_model, face_model

FAR = (900, 900, 940, 940)


def judged(
    scores: dict[Box, float], truth: dict[Box, str], difficult: tuple[Box, ...] = ()
) -> Judged:
    return Judged(
        boxes=np.array(list(scores), np.float32).reshape(-1, 4),
        scores=np.array(list(scores.values()), np.float32),
        truth=np.array(list(truth), np.float32).reshape(-1, 4),
        labels=tuple(truth.values()),
        difficult=np.array([box in difficult for box in truth], np.bool_),
    )


def square(left: int, side: int) -> Box:
    return (left, 0, left + side, side)


def test_average_precision_is_the_interpolated_area() -> None:
    """In order of score: right, wrong, right; one of three faces is never found.

    Precision 1, 1/2, 2/3 at recalls 1/3, 1/3, 2/3: 1/3 * 1 + 1/3 * 2/3.
    """
    picture = judged(
        {square(0, 40): 0.9, FAR: 0.8, square(100, 40): 0.7},
        {square(0, 40): "face", square(100, 40): "face", square(200, 40): "face"},
    )
    assert average_precision([picture], Question()) == pytest.approx(1 / 3 + 2 / 9)


def test_scores_are_ranked_over_all_pictures() -> None:
    """The wrong one, in another picture, comes first: precision 1/2 at recall 1."""
    right = judged({square(0, 40): 0.5}, {square(0, 40): "face"})
    wrong = judged({FAR: 0.6}, {})
    assert average_precision([right, wrong], Question()) == pytest.approx(0.5)


def test_a_face_found_twice_is_a_hit_and_a_mistake() -> None:
    twice = judged(
        {square(0, 40): 0.9, (1, 0, 41, 40): 0.8, square(100, 40): 0.7},
        {square(0, 40): "face", square(100, 40): "face"},
    )
    assert average_precision([twice], Question()) == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)


def test_half_an_overlap_is_needed() -> None:
    """A box two thirds beside the other has an IoU of 1/5, one a third beside it 1/2."""
    for shift, expected in ((20, 0.0), (10, 1.0)):
        picture = judged({square(shift, 30): 0.9}, {square(0, 30): "face"})
        assert average_precision([picture], Question()) == expected


def test_intersection_over_union() -> None:
    boxes = np.array([square(0, 10), (5, 0, 15, 10), (0, 0, 0, 0)], np.float32)
    expected = [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 0]]
    assert iou_matrix(boxes, boxes) == pytest.approx(np.array(expected), abs=1e-6)


def test_faces_of_another_size_are_neither_missed_nor_wrong() -> None:
    """Found small and large faces count in their own bands; so do wrong boxes."""
    picture = judged(
        {square(0, 20): 0.9, square(100, 80): 0.8, (300, 0, 400, 100): 0.95},
        {square(0, 20): "face", square(100, 80): "face", square(500, 40): "face"},
    )
    assert average_precision([picture], Question(16, 32)) == 1.0
    assert average_precision([picture], Question(32, 64)) == 0.0
    assert average_precision([picture], Question(64)) == pytest.approx(0.5)
    assert average_precision([picture], Question(200)) is None


def test_difficult_faces_and_other_labels_are_ignored() -> None:
    masked, bare = square(0, 40), square(100, 40)
    picture = judged({masked: 0.9, bare: 0.8}, {masked: "with_mask", bare: "without_mask"})
    assert average_precision([picture], Question(label="without_mask")) == 1.0
    hard = judged({bare: 0.8}, {masked: "face", bare: "face"}, difficult=(masked,))
    assert average_precision([hard], Question()) == 1.0


def lit(*squares: tuple[int, int]) -> Picture:
    """White squares of 8 pixels on black: the detector below boxes each with 16x16."""
    picture = plain(640, 480)
    for x, y in squares:
        picture[y : y + 8, x : x + 8] = 255
    return picture


def around(x: int, y: int) -> Box:
    return (x - 4, y - 4, x + 12, y + 12)


@pytest.fixture
def detector(tmp_path: Path) -> str:
    ln2 = float(np.log(2))
    return str(face_model(tmp_path / "f.onnx", bbox=(0.5, 0.5, ln2, ln2)))


def test_the_figures_are_those_of_the_boxes(tmp_path: Path, detector: str) -> None:
    """Two of three faces are found, and one thing that is no face, in a picture without any."""
    data = voc_folder(tmp_path / "data")
    faces = [("with_mask", around(80, 80)), ("without_mask", around(240, 80))]
    add_photograph(data, "a", lit((80, 80), (240, 80)), faces)
    add_photograph(data, "b", lit(), [("with_mask", (300, 300, 340, 340))])
    add_photograph(data, "c", lit((400, 400)), None)
    figures = evaluate_faces(detector, data)
    assert (figures.images, figures.n) == (3, 3)
    assert figures.recall == pytest.approx(2 / 3, abs=1e-5)
    assert figures.false_positives_per_image == pytest.approx(1 / 3, abs=1e-5)
    assert (figures.face_free_images, figures.false_positives_per_face_free_image) == (1, 1.0)
    assert figures.n_by_px == {"16-32": 2, "32-64": 1, ">=64": 0, ">=32": 1}
    assert figures.ap_by_px["32-64"] == 0.0
    assert figures.ap_by_px[">=64"] is None
    assert figures.n_by_label == {"with_mask": 2, "without_mask": 1}
    assert figures.ms_per_image > 0
    assert figures.score_threshold == 0.6


def test_weak_detections_count_for_precision_but_not_as_mistakes(tmp_path: Path) -> None:
    """All scores are 0.1: far below the detector's own threshold."""
    ln2 = float(np.log(2))
    file = face_model(tmp_path / "f.onnx", obj=0.01, bbox=(0.5, 0.5, ln2, ln2))
    data = voc_folder(tmp_path / "data")
    add_photograph(data, "a", lit((80, 80)), [("face", around(80, 80))])
    figures = evaluate_faces(str(file), data)
    assert figures.ap == 1.0
    assert (figures.recall, figures.false_positives_per_image) == (0.0, 0.0)


def test_size_is_in_pixels_of_the_analysed_picture(tmp_path: Path, detector: str) -> None:
    """A face of 40 pixels in a picture of 1280 is one of 20 where it is looked for."""
    data = voc_folder(tmp_path / "data")
    add_photograph(data, "a", plain(1280, 960), [("face", (0, 0, 40, 40))])
    assert evaluate_faces(detector, data).n_by_px["16-32"] == 1


def test_haar_is_measured_without_a_file(tmp_path: Path) -> None:
    data = voc_folder(tmp_path / "data")
    add_photograph(data, "a", astronaut(), [("face", (177, 66, 270, 163))])
    figures = evaluate_faces("haar", data)
    assert (figures.model, figures.ap) == ("haar", 1.0)
    assert (figures.params, figures.bytes, figures.score_threshold) == (None, None, None)


def test_a_classifier_is_no_detector(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="it is no face detector"):
        evaluate_faces(str(expression_model(tmp_path / "e.onnx")), tmp_path)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("<annotation>\n<object>", r"a.xml, line 2, column \d+: not XML"),
        ("<annotation><object><name>x</name></object></annotation>", "a.xml, object 1: .*missing"),
        (
            "<annotation><object><bndbox><xmin>5</xmin><ymin>1</ymin><xmax>5</xmax>"
            "<ymax>9</ymax></bndbox></object></annotation>",
            "object 1: its bndbox is no box: xmin 5, ymin 1, xmax 5, ymax 9",
        ),
        (
            "<annotation><object><bndbox><xmin>5</xmin><ymin>1</ymin><xmax>inf</xmax>"
            "<ymax>9</ymax></bndbox></object></annotation>",
            "object 1: its bndbox is no box: xmin 5, ymin 1, xmax inf, ymax 9",
        ),
        ("<annotations><image/></annotations>", "begins with <annotations>, .* <annotation>"),
    ],
)
def test_a_wrong_annotation_is_told_with_its_place(
    tmp_path: Path, detector: str, xml: str, message: str
) -> None:
    data = voc_folder(tmp_path / "data")
    add_photograph(data, "a", lit())
    (data / "annotations" / "a.xml").write_text(xml)
    with pytest.raises(ConfigError, match=message):
        evaluate_faces(detector, data)


def test_annotations_count_however_their_names_end_and_say_difficult(
    tmp_path: Path, detector: str
) -> None:
    data = voc_folder(tmp_path)
    add_photograph(data, "a", lit((40, 40)), [("face", around(40, 40))])
    add_photograph(data, "b", lit((40, 40)), [("face", around(40, 40))])
    (data / "annotations" / "a.xml").rename(data / "annotations" / "a.XML")
    text = (data / "annotations" / "b.xml").read_text()
    difficult = text.replace("<bndbox>", "<difficult>True</difficult><bndbox>")
    (data / "annotations" / "b.xml").write_text(difficult)
    (data / "images" / "folder.jpg").mkdir()
    figures = evaluate_faces(detector, data)
    assert (figures.images, figures.n, figures.recall) == (2, 1, 1.0)
    assert figures.face_free_images == 0


def test_what_macos_puts_beside_each_file_is_left_out(tmp_path: Path) -> None:
    data = voc_folder(tmp_path)
    add_photograph(data, "a", np.zeros((48, 48, 3), np.uint8), [("face", (1, 1, 20, 20))])
    for hidden in ("images/._a.png", "annotations/._a.xml"):
        (data / hidden).write_bytes(b"\0\5\x16\7 of a Mac alone")
    (photograph,) = read_photographs(data)
    assert photograph.path.name == "a.png"
    assert len(photograph.faces.boxes) == 1


def test_a_folder_that_tells_of_no_face_says_so(
    tmp_path: Path, detector: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = voc_folder(tmp_path)
    add_photograph(data, "a", lit((40, 40)), None)
    assert evaluate_faces(detector, data).ap is None
    assert "annotations tells of no face: only mistakes are counted" in capsys.readouterr().err


def test_what_a_folder_lacks_is_named(tmp_path: Path, detector: str) -> None:
    with pytest.raises(ConfigError, match="it has no images/"):
        evaluate_faces(detector, tmp_path)
    data = voc_folder(tmp_path / "data")
    with pytest.raises(ConfigError, match="images: no picture"):
        evaluate_faces(detector, data)
    add_photograph(data, "a", lit())
    (data / "annotations" / "b.xml").write_text("<annotation/>")
    with pytest.raises(ConfigError, match=r"b.xml: its picture is missing"):
        evaluate_faces(detector, data)
    (data / "annotations" / "b.xml").unlink()
    (data / "images" / "a.png").write_bytes(b"no picture")
    with pytest.raises(PictureError, match=r"a.png: not a readable picture"):
        evaluate_faces(detector, data)
