"""Boxes, annotations and the split that keeps pictures out of training."""

from pathlib import Path

import numpy as np
import pytest

from roommood.training.face.data import (
    AnnotationError,
    Faces,
    iou_matrix,
    load_faces,
    read_voc,
    save_faces,
    split,
)

VOC = """<annotation><object><name>with_mask</name><bndbox><xmin>3</xmin><ymin>4</ymin>
<xmax>13</xmax><ymax>24</ymax></bndbox></object></annotation>"""


def faces(*boxes: tuple[float, float, float, float]) -> Faces:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    return Faces(array, np.zeros((len(array), 5, 2), np.float32), np.ones(len(array), np.float32))


def test_an_annotation_gives_its_boxes_and_class_names(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(VOC)
    labels = read_voc(path)
    assert labels.names == ("with_mask",)
    assert labels.boxes.tolist() == [[3, 4, 13, 24]]


@pytest.mark.parametrize(
    "text", ["", "<annotation>", VOC.replace("13", "2"), VOC.replace("24", "x")]
)
def test_a_broken_annotation_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.xml"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=r"broken\.xml"):
        read_voc(path)


def test_the_split_depends_on_names_alone_and_divides_everything() -> None:
    paths = [Path(f"/one/{i}.jpg") for i in range(50)]
    moved = [Path(f"/two/{i}.jpg") for i in reversed(range(50))]
    first, second = split(paths), split(moved)
    assert [p.name for p in first.held_out] == [p.name for p in second.held_out]
    assert len(first.held_out) == 10
    assert not set(first.train) & set(first.held_out)
    assert set(first.train) | set(first.held_out) == set(paths)


def test_overlap_is_one_with_itself_and_a_third_when_shifted_by_half() -> None:
    box = faces((0, 0, 10, 10)).boxes
    shifted = faces((5, 0, 15, 10), (20, 20, 30, 30)).boxes
    assert iou_matrix(box, box)[0, 0] == pytest.approx(1)
    assert iou_matrix(box, shifted)[0].tolist() == pytest.approx([1 / 3, 0])


def test_labels_survive_their_file(tmp_path: Path) -> None:
    labels = {"b.jpg": faces((0, 0, 1, 1), (2, 2, 4, 4)), "a.jpg": Faces.none()}
    save_faces(tmp_path / "labels.npz", labels)
    read = load_faces(tmp_path / "labels.npz")
    assert len(read["a.jpg"]) == 0
    np.testing.assert_array_equal(read["b.jpg"].boxes, labels["b.jpg"].boxes)
