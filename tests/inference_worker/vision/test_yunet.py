"""The YuNet decoder, on models whose every output is known."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roommood.inference_worker.vision.detectors import open_detector
from roommood.inference_worker.vision.onnx_detector import without_nested
from roommood.shared.errors import ModelError
from tests.inference_worker.pictures import plain
from tests.inference_worker.tiny_models import face_metadata, face_model

LN2 = float(np.log(2))


def lit(width: int, height: int, x: int, y: int, side: int = 8) -> np.ndarray:
    """A black picture with one white square."""
    picture = plain(width, height)
    picture[y : y + side, x : x + side] = 255
    return picture


def test_one_cell_becomes_one_box_with_landmarks(tmp_path: Path) -> None:
    """Cell (row 3, column 5) of stride 8; box centre at its middle, 16 wide and 8 high."""
    file = face_model(
        tmp_path / "f.onnx", bbox=(0.5, 0.5, LN2, 0), kps=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    )
    (face,) = open_detector(str(file)).detect(lit(96, 64, 40, 24))
    assert (face.x, face.y, face.width, face.height) == pytest.approx((36, 24, 16, 8))
    assert face.score == pytest.approx(1.0)
    expected = ((40, 32), (56, 48), (72, 64), (88, 80), (104, 96))
    assert face.landmarks is not None
    assert [xy for point in face.landmarks for xy in point] == pytest.approx(
        [xy for point in expected for xy in point]
    )


@pytest.mark.parametrize(("level", "stride"), [(0, 8), (1, 16), (2, 32)])
def test_each_stride_has_its_own_grid(tmp_path: Path, level: int, stride: int) -> None:
    gains = [1 / 255 if place == level else 0 for place in range(3)]
    file = face_model(tmp_path / "f.onnx", gains=gains)
    (face,) = open_detector(str(file)).detect(lit(128, 96, 2 * stride, stride, stride))
    assert (face.x, face.y, face.width) == pytest.approx((2 * stride, stride, stride))


def test_the_score_is_the_root_of_cls_times_obj(tmp_path: Path) -> None:
    file = face_model(tmp_path / "f.onnx", obj=0.49)
    (face,) = open_detector(str(file)).detect(lit(64, 64, 8, 8))
    assert face.score == pytest.approx(0.7)


@pytest.mark.parametrize(("sure_score", "certain"), [("0.69", True), ("0.71", False)])
def test_a_face_is_certain_from_the_contracts_sure_score_on(
    tmp_path: Path, sure_score: str, certain: bool
) -> None:
    bgr = {"channels": 3, "colour": "bgr", "mean": [0.0], "std": [1.0]}
    contract = face_metadata(input=bgr, sure_score=sure_score)
    file = face_model(tmp_path / "f.onnx", contract, obj=0.49)
    (face,) = open_detector(str(file)).detect(lit(64, 64, 8, 8))
    assert face.certain is certain


def test_without_obj_the_score_is_cls_and_without_kps_there_are_no_landmarks(
    tmp_path: Path,
) -> None:
    file = face_model(tmp_path / "f.onnx", obj=None, kps=None, gains=(0.8 / 255, 0, 0))
    (face,) = open_detector(str(file)).detect(lit(64, 64, 8, 8))
    assert face.score == pytest.approx(0.8)
    assert face.landmarks is None


def test_scores_beyond_one_are_clipped(tmp_path: Path) -> None:
    file = face_model(tmp_path / "f.onnx", gains=(1.2 / 255, 0, 0), obj=0.36)
    (face,) = open_detector(str(file), score_threshold=0.5).detect(lit(64, 64, 8, 8))
    assert face.score == pytest.approx(0.6)


def test_two_negative_outputs_do_not_make_a_face(tmp_path: Path) -> None:
    file = face_model(tmp_path / "f.onnx", gains=(-0.4 / 255, 0, 0), obj=-0.4)
    assert open_detector(str(file), score_threshold=0.1).detect(lit(64, 64, 8, 8)) == []


@pytest.mark.parametrize("logits", [{"gains": (-4 / 255, 0, 0)}, {"obj": -4.0}, {"obj": 4.0}])
def test_logits_are_refused_and_never_an_empty_room(tmp_path: Path, logits: Any) -> None:
    file = face_model(tmp_path / "f.onnx", **logits)
    with pytest.raises(ModelError, match="due are probabilities: export it with its sigmoids"):
        open_detector(str(file)).detect(lit(64, 64, 8, 8))


def test_the_threshold_is_the_callers_else_the_contracts_else_sixty_percent(
    tmp_path: Path,
) -> None:
    def count(metadata: dict[str, str], score: float, threshold: float | None = None) -> int:
        file = face_model(
            tmp_path / "f.onnx", metadata, shape=(1, 1, "h", "w"), gains=(score, 0, 0), obj=None
        )
        detector = open_detector(str(file), score_threshold=threshold)
        return len(detector.detect(lit(64, 64, 8, 8)))

    assert [count(face_metadata(), 0.55), count(face_metadata(), 0.65)] == [0, 1]
    strict = face_metadata(score_threshold="0.8")
    assert [count(strict, 0.75), count(strict, 0.85), count(strict, 0.75, 0.7)] == [0, 1, 1]


def test_overlapping_boxes_leave_the_best_one(tmp_path: Path) -> None:
    """Two neighbouring cells whose boxes of 64 px overlap nearly whole, and one far away."""
    file = face_model(tmp_path / "f.onnx", bbox=(0.5, 0.5, 3 * LN2, 3 * LN2))
    picture = lit(256, 128, 64, 64)
    picture[64:72, 72:80] = 220
    picture[64:72, 200:208] = 240
    faces = open_detector(str(file)).detect(picture)
    assert [face.x for face in faces] == pytest.approx([36, 172])
    assert faces[0].score == pytest.approx(1.0)


def test_the_contracts_overlap_bound_holds(tmp_path: Path) -> None:
    loose = face_metadata(nms_iou="0.95", score_threshold="0.999")
    file = face_model(
        tmp_path / "f.onnx",
        loose,
        shape=(1, 1, "h", "w"),
        gains=(1, 0, 0),
        bbox=(0.5, 0.5, 3 * LN2, 3 * LN2),
    )
    picture = lit(256, 128, 64, 64)
    picture[64:72, 72:80] = 220
    # Neither is certain enough to rule the other out as nested.
    assert len(open_detector(str(file), score_threshold=0.5).detect(picture)) == 2


def test_a_box_inside_a_certain_one_is_dropped_however_small() -> None:
    rows = [
        [0.9, 0.0, 0.0, 100.0, 100.0],
        [0.8, 30.0, 30.0, 20.0, 20.0],
        [0.7, 200.0, 0.0, 50.0, 50.0],
        [0.6, 190.0, -10.0, 80.0, 80.0],
    ]
    assert [row[0] for row in without_nested(rows, 0.5)] == [0.9, 0.7]
    assert len(without_nested(rows, 0.85)) == 3
    assert len(without_nested(rows, 0.95)) == 4


def test_a_wide_picture_is_shrunk_and_its_boxes_are_mapped_back(tmp_path: Path) -> None:
    file = face_model(tmp_path / "f.onnx")
    (face,) = open_detector(str(file), input_size=320).detect(lit(1280, 720, 320, 160, 32))
    assert (face.x, face.y, face.width, face.height) == pytest.approx((320, 160, 32, 32))


def test_each_axis_is_mapped_back_by_its_own_rounded_scale(tmp_path: Path) -> None:
    """84 rows become 8: one cell is the whole height of the picture."""
    file = face_model(tmp_path / "f.onnx")
    faces = open_detector(str(file), input_size=320).detect(plain(3200, 84, 255))
    assert len(faces) == 40
    assert faces[0].height == pytest.approx(84)
    assert faces[0].width == pytest.approx(80)


def test_a_small_picture_is_padded_never_enlarged(tmp_path: Path) -> None:
    file = face_model(tmp_path / "f.onnx")
    (face,) = open_detector(str(file)).detect(lit(100, 50, 8, 16))
    assert (face.x, face.y, face.width) == pytest.approx((8, 16, 8))


@pytest.mark.parametrize("size", [(640, 480), (100, 200), (31, 17), (1920, 1080)])
def test_a_model_of_fixed_size_takes_pictures_of_any_size(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    """The whole picture is white: every cell in it is a face, none in the padding."""
    file = face_model(tmp_path / "f.onnx", shape=(1, 3, 64, 96), gains=(0, 0, 1 / 255))
    faces = open_detector(str(file)).detect(plain(*size, 255))
    width, height = size
    assert faces
    assert all(0 <= face.x + face.width / 2 <= width for face in faces)
    assert all(0 <= face.y + face.height / 2 <= height for face in faces)


def test_an_input_size_that_has_no_effect_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = str(face_model(tmp_path / "f.onnx", shape=(1, 3, 64, 96)))
    free = str(face_model(tmp_path / "free.onnx"))
    for path, size in ((file, 640), (file, 96), (free, 320)):
        open_detector(path, input_size=size)
    assert not caplog.records
    open_detector(file, input_size=320)
    (line,) = caplog.records
    assert "input size has no effect" in line.getMessage()
    assert line.__dict__["fields"]["fixed"] == "96x64"


def test_padding_is_clean_after_a_larger_picture(tmp_path: Path) -> None:
    detector = open_detector(str(face_model(tmp_path / "f.onnx")))
    detector.detect(plain(96, 96, 255))
    (face,) = detector.detect(lit(90, 70, 8, 8))
    assert (face.x, face.y) == pytest.approx((8, 8))


@pytest.mark.parametrize("nhwc", [False, True])
@pytest.mark.parametrize(("colour", "expected"), [("bgr", 0), ("rgb", 2)])
def test_colour_order_and_layout_are_the_contracts(
    tmp_path: Path, colour: str, expected: int, nhwc: bool
) -> None:
    """With means far apart only the right channel order reaches the threshold."""
    tensor = {
        "channels": 3,
        "colour": colour,
        "layout": "NHWC" if nhwc else "NCHW",
        "mean": [0, 0, 0],
        "std": [1, 1000, 1000],
    }
    shape = (1, "h", "w", 3) if nhwc else (1, 3, "h", "w")
    file = face_model(
        tmp_path / "f.onnx",
        face_metadata(input=tensor),
        shape=shape,
        gains=(3 / 255, 0, 0),
        nhwc=nhwc,
    )
    picture = plain(64, 64)
    picture[8:16, 8:16, expected] = 255
    (face,) = open_detector(str(file)).detect(picture)
    assert (face.x, face.y) == pytest.approx((8, 8))
    assert open_detector(str(file)).detect(picture[..., ::-1].copy()) == []


def test_a_gray_detector_gets_the_mean_taken_off_and_divided(tmp_path: Path) -> None:
    tensor = {"channels": 1, "colour": "gray", "mean": [55.0], "std": [200.0]}
    file = face_model(
        tmp_path / "f.onnx", face_metadata(input=tensor), shape=(1, 1, "h", "w"), gains=(0.9, 0, 0)
    )
    (face,) = open_detector(str(file)).detect(lit(64, 64, 8, 8))
    assert face.score == pytest.approx(0.9**0.5)


def test_several_threads_share_one_detector(tmp_path: Path) -> None:
    detector = open_detector(str(face_model(tmp_path / "f.onnx")))
    pictures = [lit(96, 96, 8 * (n % 10), 8) for n in range(40)]
    with ThreadPoolExecutor(4) as pool:
        found_faces = list(pool.map(detector.detect, pictures))
    assert [faces[0].x for faces in found_faces] == pytest.approx([8 * (n % 10) for n in range(40)])


@pytest.mark.parametrize("channels", [1, 3])
def test_the_self_test_compares_the_sums_of_the_outputs(tmp_path: Path, channels: int) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (96, 128), dtype=np.uint8)
    tensor = {
        "channels": channels,
        "colour": "gray" if channels == 1 else "bgr",
        "mean": [0.0],
        "std": [255.0],
        "multiple": 32,
    }
    total = float(noise.sum()) / 255 / 64
    for off, passes in ((1.0, True), (1.0005, True), (1.002, False)):
        sums = {"cls_8": total * off, "kps_32": 12 * 10 * 0.5}
        selftest = {"seed": 3, "height": 96, "width": 128, "sums": sums}
        file = face_model(
            tmp_path / "f.onnx",
            face_metadata(input=tensor, selftest=selftest),
            shape=(1, channels, "h", "w"),
            gains=(1, 0, 0),
        )
        detector = open_detector(str(file), input_size=64)
        if passes:
            detector.self_test()
        else:
            with pytest.raises(ModelError, match=r"for cls_8, .* is due, on CPU"):
                detector.self_test()


def test_a_self_test_of_an_output_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    selftest = {"seed": 3, "height": 96, "width": 128, "sums": {"cls_64": 1.0}}
    metadata = face_metadata(selftest=selftest)
    file = face_model(tmp_path / "f.onnx", metadata, shape=(1, 1, "h", "w"))
    with pytest.raises(ModelError, match="cls_64"):
        open_detector(str(file)).self_test()


def test_the_box_style_is_the_contracts(tmp_path: Path) -> None:
    file = face_model(tmp_path / "f.onnx", face_metadata(box="haar"), shape=(1, 1, "h", "w"))
    assert open_detector(str(file)).box_style == "haar"


@pytest.mark.parametrize(
    "broken",
    [
        {"gains": (np.nan, 0, 0)},
        {"bbox": (np.nan, 0, 0, 0)},
        {"bbox": (np.inf, 0, 0, 0)},
        {"bbox": (0, 0, -200, 0)},
        {"kps": (np.nan,) * 10},
    ],
)
def test_numbers_that_are_none_are_an_error_never_no_faces(
    tmp_path: Path, broken: dict[str, tuple[float, ...]]
) -> None:
    file = face_model(tmp_path / "f.onnx", **broken)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="damaged"):
        open_detector(str(file)).detect(lit(64, 64, 8, 8))


def test_a_box_in_the_padding_beside_the_picture_is_no_face(tmp_path: Path) -> None:
    file = face_model(tmp_path / "f.onnx", bbox=(6, 0, 0, 0))
    assert open_detector(str(file)).detect(lit(64, 64, 24, 8)) == []
    assert open_detector(str(file)).detect(lit(96, 64, 24, 8)) != []


def test_an_enormous_size_stays_finite(tmp_path: Path) -> None:
    file = face_model(tmp_path / "f.onnx", bbox=(0.5, 0.5, 500, 500))
    (face,) = open_detector(str(file)).detect(lit(64, 64, 8, 8))
    assert np.isfinite([face.x, face.y, face.width, face.height]).all()


def test_outputs_of_another_shape_are_an_error(tmp_path: Path) -> None:
    file = face_model(tmp_path / "f.onnx", bbox=(0, 0, 0, 0, 0))
    with pytest.raises(ModelError, match=r"bbox_8 is of shape \(1, 64, 5\)"):
        open_detector(str(file)).detect(lit(64, 64, 8, 8))


def test_a_model_with_other_outputs_is_refused_at_load(tmp_path: Path) -> None:
    from tests.inference_worker.tiny_models import expression_model

    file = expression_model(tmp_path / "e.onnx", {}, shape=("n", 3, 8, 8))
    with pytest.raises(ModelError, match="outputs are logits; a YuNet-style detector has"):
        open_detector(str(file))


def test_a_size_that_the_contract_fixes_is_the_inputs(tmp_path: Path) -> None:
    """A picture is enlarged to it, so that what shows through one cell of 8 is half as large."""
    bgr = {"channels": 3, "colour": "bgr", "mean": [0.0], "std": [1.0]}
    fixed = face_metadata(input=bgr | {"width": 128, "height": 96})
    (face, *_) = open_detector(str(face_model(tmp_path / "f.onnx", fixed))).detect(
        lit(64, 48, 16, 8)
    )
    assert (face.width, face.height) == pytest.approx((4, 4))
    off_grid = face_metadata(input=bgr | {"width": 100, "height": 96})
    with pytest.raises(ModelError, match="multiples of 32"):
        open_detector(str(face_model(tmp_path / "g.onnx", off_grid)))


def test_a_fixed_size_off_the_grid_is_refused_at_load(tmp_path: Path) -> None:
    file = face_model(tmp_path / "f.onnx", shape=(1, 3, 100, 96))
    with pytest.raises(ModelError, match="multiples of 32"):
        open_detector(str(file))
