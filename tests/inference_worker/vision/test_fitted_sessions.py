"""Sessions by the size of the input: which there are, and that all give the same."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from roommood.inference_worker.models.files import SHIPPED_FACE
from roommood.inference_worker.vision.fitted_sessions import MOST_FITTED, FittedSessions
from roommood.inference_worker.vision.onnx_model import OnnxModel, Tensor
from roommood.shared.errors import ModelError
from tests.inference_worker.tiny_models import face_model

SHAPES = [(1, 1, 32 * n, 64) for n in range(1, MOST_FITTED + 2)]


class Opener:
    """Opens nothing, and counts."""

    def __init__(self) -> None:
        self.opened: list[Mapping[str, int]] = []

    def __call__(self, sides: Mapping[str, int]) -> object:
        self.opened.append(sides)
        return object()


def test_each_size_has_a_session_of_its_own_until_there_are_enough() -> None:
    general, opener = object(), Opener()
    sessions = FittedSessions(general, ["n", 1, "h", "w"], opener)
    first = [sessions.session(shape) for shape in SHAPES]
    assert opener.opened == [{"n": 1, "h": shape[2], "w": 64} for shape in SHAPES[:-1]]
    assert first.index(general) == MOST_FITTED
    assert [sessions.session(shape) for shape in SHAPES] == first


def test_threads_that_come_at_once_open_one_session() -> None:
    opener = Opener()
    sessions = FittedSessions(object(), ["n", 1, "h", "w"], opener)
    with ThreadPoolExecutor(8) as pool:
        shared = set(pool.map(sessions.session, SHAPES[:1] * 64))
    assert len(shared) == len(opener.opened) == 1


@pytest.mark.parametrize("dimensions", [["n", 1, 48, 48], ["n", 1, "side", "side"]])
def test_a_batch_alone_and_one_name_for_two_sizes_are_the_general_ones(
    dimensions: list[object],
) -> None:
    general, opener = object(), Opener()
    assert FittedSessions(general, dimensions, opener).session(SHAPES[0]) is general
    assert opener.opened == []


def test_a_model_that_cannot_be_fitted_stays_general() -> None:
    general = object()

    def refuse(sides: Mapping[str, int]) -> object:
        raise ModelError(f"not of {sides}")

    assert FittedSessions(general, ["n", 1, "h", "w"], refuse).session(SHAPES[0]) is general


def test_a_fitted_session_gives_what_the_general_one_gives(tmp_path: Path) -> None:
    picture = np.random.default_rng(4).integers(0, 256, (1, 1, 480, 640), np.uint8)
    nameless = onnx.load(str(SHIPPED_FACE))
    for side in nameless.graph.input[0].type.tensor_type.shape.dim[2:]:
        side.ClearField("dim_param")
    onnx.save(nameless, str(tmp_path / "general.onnx"))
    fitted, general = OnnxModel(SHIPPED_FACE), OnnxModel(tmp_path / "general.onnx")
    fits = [model._fitted.session(picture.shape) != model._session for model in (fitted, general)]
    assert fits == [True, False]
    for cell, other in zip(all_cells(fitted, picture), all_cells(general, picture), strict=True):
        np.testing.assert_allclose(cell, other, rtol=1e-3, atol=1e-4)


def all_cells(model: OnnxModel, picture: NDArray[np.uint8]) -> list[Tensor]:
    bounds = {name: np.zeros(1, np.float32) for name in ("score_threshold", "nms_iou")}
    return model(picture, ["scores", "boxes"], bounds)


def test_sessions_are_of_the_file_as_it_was_when_it_was_loaded(tmp_path: Path) -> None:
    file = face_model(tmp_path / "f.onnx", gains=(1, 0, 0))
    model = OnnxModel(file)
    face_model(file, gains=(2, 0, 0))
    assert model(np.ones((1, 3, 64, 64), np.float32), ["cls_8"])[0].max() == pytest.approx(1)


@pytest.mark.parametrize(("megabytes", "sessions"), [(1, 4), (33, 1)])
def test_a_large_file_has_its_weights_in_memory_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, megabytes: int, sessions: int
) -> None:
    file = face_model(tmp_path / "f.onnx")
    model = onnx.load(str(file))
    unused = np.zeros(megabytes * 2**18, np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(unused, "unused"))
    onnx.save(model, str(file))
    opened: list[int] = []

    open_session = onnxruntime.InferenceSession

    def counted(*how: Any, **more: Any) -> Any:
        opened.append(1)
        return open_session(*how, **more)

    monkeypatch.setattr("onnxruntime.InferenceSession", counted)
    loaded = OnnxModel(file)
    for side in (32, 64, 96):
        loaded(np.ones((1, 3, side, side), np.float32), ["cls_8"])
    assert len(opened) == sessions


def with_weights_beside(folder: Path) -> tuple[Path, Path]:
    file, weights = folder / "large.onnx", folder / "weights"
    model = onnx.load(str(SHIPPED_FACE))
    beside: Any = {"save_as_external_data": True, "location": weights.name, "size_threshold": 1024}
    onnx.save(model, str(file), **beside)
    return file, weights


def test_nor_do_weights_beside_a_file_change_with_it(tmp_path: Path) -> None:
    """A session that is opened later would have its graph of one and its weights of the other."""
    file, weights = with_weights_beside(tmp_path)
    model, picture = OnnxModel(file), np.full((1, 1, 64, 64), 9, np.uint8)
    zeros = bytes(weights.stat().st_size)
    weights.unlink()
    weights.write_bytes(zeros)
    np.testing.assert_allclose(
        all_cells(model, picture)[0], all_cells(OnnxModel(SHIPPED_FACE), picture)[0], rtol=1e-4
    )


def test_weights_that_lie_beside_a_file_are_found(tmp_path: Path) -> None:
    file, weights = with_weights_beside(tmp_path)
    picture = np.full((1, 1, 64, 64), 9, np.uint8)
    assert weights.is_file()
    for cell, other in zip(
        all_cells(OnnxModel(file), picture),
        all_cells(OnnxModel(SHIPPED_FACE), picture),
        strict=True,
    ):
        np.testing.assert_allclose(cell, other, rtol=1e-5, atol=1e-6)
