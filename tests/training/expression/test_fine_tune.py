"""Fine-tuning on own pictures, and what is said of it."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.collecting import write_pictures
from tests.training.making import write_data

pytest.importorskip("torch")
pytest.importorskip("cv2")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from rich.console import Console

from roommood.inference_worker.models.files import SHIPPED_EXPRESSION, load_expression
from roommood.shared.errors import ConfigError, ModelError
from roommood.training.expression.fine_tune import (
    Change,
    FineTune,
    FineTuneSettings,
    chance,
    change,
)
from roommood.training.expression.fine_tune_run import run, tell
from roommood.training.expression.net import NetShape
from roommood.training.expression.train import Run, TrainSettings, load_net, predict

NOISE = np.random.default_rng(0).integers(0, 256, (4, 48, 48), dtype=np.uint8)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    for seed, expression in enumerate(("happy", "sad")):
        write_pictures(folder / expression, [f"{n}.png" for n in range(20)], seed)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a small net, quick to go on with."""
    folder = write_data(tmp_path_factory.mktemp("base"))
    shape = NetShape(widths=(8, 8, 8), blocks=(1, 1, 1))
    Run(TrainSettings(folder, folder / "run.pt", shape, epochs=1, batch=8)).train(lambda *_: None)
    return folder / "run.pt"


def test_a_user_with_the_wheel_alone_gets_a_model_from_the_shipped_one(
    pictures: Path, tmp_path: Path
) -> None:
    settings = FineTuneSettings(pictures, tmp_path / "own.pt", SHIPPED_EXPRESSION, epochs=1)
    run(settings, tmp_path / "own.onnx", "expression-own")
    _, contract = load_expression(tmp_path / "own.onnx")
    assert contract.model_id == "expression-own"
    assert "fine-tuned on 28 own pictures" in contract.training_data
    assert contract.confusion == {}
    assert contract.selftest is not None
    assert (tmp_path / "own.outcome.json").is_file()


def test_with_a_base_what_was_forgotten_there_is_measured_too(
    pictures: Path, tiny: Path, tmp_path: Path
) -> None:
    settings = FineTuneSettings(pictures, tmp_path / "own.pt", tiny, base=tiny.parent, epochs=2)
    tuning = FineTune(settings)
    outcome = tuning.judge(tuning.train(lambda *_: None))
    assert outcome.base is not None
    assert outcome.base.n == 40
    assert outcome.own.n == 6
    assert set(outcome.by_expression) == {"happiness", "sadness"}


def test_where_no_epoch_gains_the_start_is_kept(pictures: Path, tiny: Path, tmp_path: Path) -> None:
    settings = FineTuneSettings(
        pictures, tmp_path / "own.pt", tiny, epochs=9, patience=1, peak_rate=1e-12
    )
    tuning = FineTune(settings)
    net = tuning.train(lambda *_: None)
    assert tuning.run.best_epoch == 0
    assert np.allclose(predict(net, NOISE), predict(load_net(tiny), NOISE))
    assert tuning.judge(net).own.verdict == "no clear difference"


def test_a_finished_run_is_not_trained_again_and_other_settings_are_refused(
    pictures: Path, tiny: Path, tmp_path: Path
) -> None:
    settings = FineTuneSettings(pictures, tmp_path / "own.pt", tiny, epochs=2)
    FineTune(settings).train(lambda *_: None)
    epochs: list[int] = []
    FineTune(settings).train(lambda epoch, *_: epochs.append(epoch))
    assert epochs == []
    longer = FineTuneSettings(pictures, tmp_path / "own.pt", tiny, epochs=3)
    with pytest.raises(ModelError, match="of another run"):
        FineTune(longer).train(lambda *_: None)


def test_too_few_pictures_are_refused_before_anything_is_trained(
    pictures: Path, tiny: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="too few"):
        FineTune(FineTuneSettings(pictures, tmp_path / "own.pt", tiny, least=21))


@pytest.mark.parametrize(
    ("fixed", "broken", "verdict"),
    [
        (6, 0, "better"),
        (0, 6, "worse"),
        (5, 0, "no clear difference"),
        (9, 5, "no clear difference"),
    ],
)
def test_better_is_said_only_where_chance_seldom_brings_it(
    fixed: int, broken: int, verdict: str
) -> None:
    assert Change(30, 0.5, 0.6, fixed, broken).verdict == verdict


def test_the_sign_test_gives_the_known_values() -> None:
    assert chance(0, 0) == chance(3, 3) == 1
    assert chance(5, 0) == pytest.approx(2 / 32)
    assert chance(1, 8) == pytest.approx(20 / 512)


def test_fixed_and_broken_are_counted_face_by_face() -> None:
    changed = change(np.array([1, 1, 0, 0]), np.array([1, 0, 1, 1]))
    assert (changed.before, changed.after, changed.fixed, changed.broken) == (0.5, 0.75, 2, 1)
    assert change(None, np.array([1, 0])).verdict == "nothing to compare with"


def test_the_outcome_says_when_the_start_was_kept_and_what_was_not_measured(
    pictures: Path, tiny: Path, tmp_path: Path
) -> None:
    settings = FineTuneSettings(
        pictures, tmp_path / "own.pt", tiny, epochs=1, patience=1, peak_rate=1e-12
    )
    tuning = FineTune(settings)
    console = Console(record=True, width=120, quiet=True)
    console.quiet = False
    with console.capture() as shown:
        tell(console, tuning.judge(tuning.train(lambda *_: None)))
    assert "has the start's weights" in shown.get()
    assert "was not measured" in shown.get()
