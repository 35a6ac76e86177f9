"""`roommood models`, on a cache of its own and models made here."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from roommood.inference_worker.models import registry
from roommood.inference_worker.models import store as model_store
from roommood.inference_worker.models.cli import app
from roommood.inference_worker.models.files import load_expression, load_face
from roommood.inference_worker.models.registry import PINNED, PinnedModel, cache_folder, cached_file
from roommood.shared.errors import ConfigError, ModelError
from tests.inference_worker.evaluation.evaluation_data import (
    HAPPY,
    NEUTRAL,
    add_photograph,
    ferplus_folder,
    voc_folder,
)
from tests.inference_worker.file_server import FileServer, serving
from tests.inference_worker.pictures import plain
from tests.inference_worker.tiny_models import expression_model, face_model

HEAVY = ("cv2", "numpy", "onnxruntime", "roommood.inference_worker.models.contract")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROOMMOOD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache" / "models"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """Serves a FER+-like model without metadata, under the name `ferplus-8`."""
    first, lighter = (5, *[0] * 7), (1e-3, *[0] * 7)
    path = expression_model(
        tmp_path / "made.onnx", {}, shape=(1, 1, 64, 64), brightness=lighter, bias=first
    )
    content = path.read_bytes()
    with serving(content) as files:
        digest = hashlib.sha256(content).hexdigest()
        model = replace(PINNED["ferplus-8"], url=files.url, size=len(content), sha256=digest)
        changed = {**PINNED, "ferplus-8": model}
        monkeypatch.setattr(registry, "PINNED", changed)
        monkeypatch.setattr(model_store, "PINNED", changed)
        yield files


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def output(*arguments: str) -> dict[str, Any]:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def states() -> dict[str, str]:
    return {model["name"]: model["state"] for model in output("list", "--json")["models"]}


def test_the_list_tells_shipped_cached_and_available(server: FileServer) -> None:
    assert states()["expression"] == "shipped"
    assert states()["ferplus-8"] == "available"
    assert run("pull", "ferplus-8").exit_code == 0
    assert states()["ferplus-8"] == "cached"
    assert "ferplus-8" in run("list").stdout


def test_a_pulled_model_works_at_once(server: FileServer, cache: Path, tmp_path: Path) -> None:
    """By its name, with the sidecar that was written beside it, and never fetched twice."""
    first = run("pull", "ferplus-8")
    assert f"fetched: {cache / 'ferplus-8.onnx'}" in first.stdout
    assert "--classifier" in first.stdout
    assert "already here" in run("pull", "ferplus-8").stdout
    assert len(server.asked) == 1
    ferplus_folder(tmp_path / "data", [(10, NEUTRAL), (10, HAPPY)])
    figures = output("evaluate", "ferplus-8", "--data", str(tmp_path / "data"), "--json")
    assert (figures["model"], figures["accuracy"]) == ("ferplus-8", 0.5)


def test_a_pull_tells_where_from_even_without_a_terminal(server: FileServer) -> None:
    assert server.url in run("pull", "ferplus-8").stderr


def test_a_sidecar_that_the_user_changed_stays(server: FileServer, cache: Path) -> None:
    run("pull", "ferplus-8")
    sidecar = cache / "ferplus-8.toml"
    changed = sidecar.read_text().replace("side = 1.13", "side = 1.2")
    sidecar.write_text(changed)
    run("pull", "ferplus-8")
    assert sidecar.read_text() == changed


def test_a_damaged_file_in_the_cache_fails_to_verify_and_is_replaced(
    server: FileServer, cache: Path
) -> None:
    run("pull", "ferplus-8")
    assert run("verify", "ferplus-8").exit_code == 0
    (cache / "ferplus-8.onnx").write_bytes(b"damaged")
    failed = run("verify")
    assert failed.exit_code == 1
    assert "FAIL  ferplus-8" in failed.output
    assert "its SHA-256 is" in failed.output
    assert "ok    expression" in failed.output
    assert "fetched" in run("pull", "ferplus-8").stdout
    assert run("verify", "ferplus-8").exit_code == 0


def test_verify_runs_the_recorded_self_test() -> None:
    assert "self-test passed" in run("verify", "expression").stdout


def test_verify_tries_a_file_of_ones_own(tmp_path: Path) -> None:
    darker, bias = (-9, *[0] * 7), (5, *[0] * 7)
    good = expression_model(tmp_path / "good.onnx", brightness=darker, bias=bias)
    assert "ok    good.onnx: does what its contract says" in run("verify", str(good)).stdout
    assert run("verify", str(face_model(tmp_path / "face.onnx"))).exit_code == 0
    constant = run("verify", str(expression_model(tmp_path / "constant.onnx", bias=bias)))
    assert constant.exit_code == 1
    assert "FAIL  constant.onnx" in constant.output
    assert "the same answer whatever the picture" in constant.output


def test_a_model_that_is_not_here_cannot_be_verified() -> None:
    result = run("verify", "yunet-n")
    assert result.exit_code == 1
    assert "roommood models pull yunet-n" in result.output


def test_unknown_names_are_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'yunet'.*did you mean 'yunet-[sn]'"):
        registry.find_pinned("yunet")
    assert isinstance(run("pull", "expresion").exception, ConfigError)
    assert isinstance(run("verify", "nothing").exception, ConfigError)


def test_a_name_that_is_not_pulled_says_how() -> None:
    with pytest.raises(ModelError, match="yunet-n is not here yet: roommood models pull yunet-n"):
        model_store.resolve("yunet-n")
    with pytest.raises(ModelError, match=r"no such file, and no such model: .*ferplus-8"):
        model_store.resolve("nothing.onnx")


@pytest.mark.parametrize("model", PINNED.values(), ids=list(PINNED))
def test_every_pinned_model_is_pinned_whole(model: PinnedModel, tmp_path: Path) -> None:
    """By a commit in its address, a size and a hash; and its sidecar is a valid contract."""
    assert model.url.startswith("https://")
    assert any(len(part) == 40 for part in model.url.split("/"))
    assert len(bytes.fromhex(model.sha256)) == 32
    file = tmp_path / f"{model.name}.onnx"
    file.with_suffix(".toml").write_text(model.sidecar)
    if model.task == "face":
        _, contract = load_face(face_model(file))
    else:
        made = expression_model(file, {}, shape=(1, 1, 64, 64))
        _, contract = load_expression(made)  # type: ignore[assignment]
    assert (contract.model_id, contract.licence) == (model.name, model.licence)


def test_the_cache_is_the_users_own() -> None:
    assert cache_folder({"ROOMMOOD_CACHE": "/a"}) == Path("/a/models")
    assert cache_folder({"XDG_CACHE_HOME": "/b"}) == Path("/b/roommood/models")
    assert cache_folder({}) == Path.home() / ".cache" / "roommood" / "models"
    assert cached_file(PINNED["yunet-n"]).parent == Path(os.environ["ROOMMOOD_CACHE"]) / "models"


def test_info_tells_contract_and_metadata(tmp_path: Path) -> None:
    answer = output("info", "expression", "--json")
    assert answer["task"] == "expression"
    assert answer["input_shape"] == [None, 1, 48, 48]
    assert answer["contract"]["labels"][0] == "neutral"
    assert len(answer["sha256"]) == 64
    file = str(face_model(tmp_path / "f.onnx"))
    assert output("info", file, "--json")["task"] == "face"
    assert "score_threshold" in run("info", file).stdout


def test_evaluate_prints_one_object_for_programs(tmp_path: Path) -> None:
    data = voc_folder(tmp_path / "data")
    add_photograph(data, "a", plain(64, 64), [("face", (0, 0, 40, 40))])
    file = str(face_model(tmp_path / "f.onnx"))
    figures = output("evaluate", file, "--data", str(data), "--json", "--split", "test")
    due = {"ap", "ap_by_px", "n", "false_positives_per_image", "ms_per_image", "params"}
    assert due <= set(figures)
    assert list(figures["ap_by_px"]) == ["16-32", "32-64", ">=64", ">=32"]
    assert figures["ap_by_px"][">=64"] is None


def test_evaluate_of_a_classifier_has_the_agreed_keys(tmp_path: Path) -> None:
    ferplus_folder(tmp_path, [(0, NEUTRAL)])
    figures = output("evaluate", "expression", "--data", str(tmp_path), "--json")
    due = ("accuracy", "n", "ece", "recall", "confusion", "accuracy_by_px", "ms_per_face", "params")
    assert set(due) <= set(figures)
    assert len(figures["confusion"]) == 8


def test_evaluate_shows_people_a_table(tmp_path: Path) -> None:
    ferplus_folder(tmp_path, [(0, NEUTRAL)])
    shown = run("evaluate", "expression", "--data", str(tmp_path)).stdout
    assert "accuracy_by_px" in shown
    assert "true \\ told" in shown


def test_model_and_data_must_fit(tmp_path: Path) -> None:
    ferplus_folder(tmp_path, [(0, NEUTRAL)])
    haar = run("evaluate", "haar", "--data", str(tmp_path)).exception
    assert isinstance(haar, ConfigError)
    assert "needs images/ and annotations/" in str(haar)
    data = voc_folder(tmp_path / "voc")
    classifier = run("evaluate", "expression", "--data", str(data)).exception
    assert isinstance(classifier, ConfigError)
    assert "needs one of FER2013Train/" in str(classifier)
    split = run("evaluate", "haar", "--data", str(data), "--split", "all").exception
    assert isinstance(split, ConfigError)
    assert "use train, valid, test" in str(split)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import json, sys; from roommood.inference_worker.models.cli import app;"
        "app(['evaluate', '--help'], standalone_mode=False);"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert set(json.loads(done.stderr.splitlines()[-1])).isdisjoint(HEAVY)


@pytest.mark.parametrize("command", ["list", "info", "pull", "verify", "evaluate"])
def test_help_of_every_command_has_an_example(command: str) -> None:
    shown = run(command, "--help").output
    assert f"roommood models {command}" in shown
