"""The wheel as a Raspberry Pi gets it: with the extra `camera`, and nothing of the others."""

import json
import signal
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distributions
from pathlib import Path
from shutil import copy2, copytree, ignore_patterns

import cv2
import numpy as np
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PACKAGES = ("aggregator", "camera_node", "deploy", "inference_worker", "shared", "training")
FOLDERS = ("roommood", *PACKAGES)
OF_AN_OLDER_BUILD, GONE = "build/lib/roommood/shared", "of_an_older_build.py"
IMPORTED = "from roommood.shared.protocol.names import parse_room; print(parse_room('one'))"
# Everything comes from the package registry, over whatever link there is.
pytestmark = pytest.mark.timeout(600)


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, cwd=cwd
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, so that nothing is left in the checkout; what an older build of one module left
    there, which has since gone, lies beside it."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        copy2(ROOT / name, source)
    for name in FOLDERS:
        copytree(ROOT / name, source / name, ignore=ignore_patterns("__pycache__"))
    (source / OF_AN_OLDER_BUILD).mkdir(parents=True)
    (source / OF_AN_OLDER_BUILD / GONE).touch()
    return source


def build(source: Path, out: Path) -> Path:
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", out, source)
    (built,) = out.glob("roommood-*.whl")
    return built


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def pi(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a new environment that has `roommood[camera]` and nothing else."""
    place = tmp_path_factory.mktemp("pi")
    venv.create(place, with_pip=False, symlinks=True)
    python = place / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", f"{wheel}[camera]")
    return place / "bin"


def resolved(folder: Path, python: str, *requirements: str) -> dict[str, str]:
    """What pip would install on a Pi with this Python, by name."""
    report = folder / "report.json"
    run(
        sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--report", report,
        "--ignore-installed", "--only-binary", ":all:", "--target", folder / "nowhere",
        "--platform", "manylinux_2_28_aarch64", "--platform", "manylinux2014_aarch64",
        "--implementation", "cp", "--python-version", python, *requirements,
    )  # fmt: skip
    installed = json.loads(report.read_text())["install"]
    return {
        package["metadata"]["name"].lower(): package["metadata"]["version"] for package in installed
    }


def test_a_pi_with_bookworm_can_keep_the_numpy_1_of_its_picamera2(
    wheel: Path, tmp_path: Path
) -> None:
    """With the bounds that the download in docs/site.md has."""
    bounds = ("numpy<2", "opencv-python-headless<4.12")
    versions = resolved(tmp_path, "3.11", f"{wheel}[camera]", *bounds)
    assert versions["numpy"].startswith("1.")
    assert versions["opencv-python-headless"].startswith("4.11.")


def test_a_pi_with_trixie_gets_numpy_2(wheel: Path, tmp_path: Path) -> None:
    versions = resolved(tmp_path, "3.13", f"{wheel}[camera]")
    assert versions["numpy"].startswith("2.")


@pytest.mark.parametrize(("python", "keeps_numpy_1"), [("3.11", True), ("3.13", False)])
def test_the_extra_picamera_keeps_numpy_1_where_debian_has_that(
    wheel: Path, python: str, keeps_numpy_1: bool
) -> None:
    (distribution,) = distributions(path=[str(wheel)])
    where = {"python_version": python, "extra": "picamera"}
    requirements = [Requirement(line) for line in distribution.requires or ()]
    of_it = [
        requirement
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate(where)
    ]
    newer = {"numpy": "2.2.4", "opencv-python-headless": "4.12.0.88"}
    for name, version in newer.items():
        allowed = all(
            version in requirement.specifier for requirement in of_it if requirement.name == name
        )
        assert allowed is not keeps_numpy_1
    assert "roommood" in [requirement.name for requirement in of_it], (
        "all that `camera` wants, and these bounds"
    )


def test_the_wheel_holds_the_script_and_the_models(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert "roommood/aggregator/counting/count_once.lua" in names
    assert "roommood/inference_worker/models/expression.onnx" in names
    assert "roommood/camera_node/preview/page/page.html" in names
    assert "roommood/aggregator/mqtt/bridge.py" in names
    assert not [name for name in names if not name.startswith(("roommood/", "roommood-"))]


def test_what_an_older_build_left_gets_into_no_wheel(wheel: Path) -> None:
    assert not any(name.endswith(GONE) for name in zipfile.ZipFile(wheel).namelist())


def test_one_name_is_installed_beside_whatever_folders_a_user_has(pi: Path, tmp_path: Path) -> None:
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('not this one')")
    code = "from roommood.camera_node.node import CameraNode; from roommood import StoreAway"
    done = subprocess.run(
        [pi / "python", "-c", code],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    (top_level,) = pi.parent.glob("lib/python3*/site-packages/roommood-*/top_level.txt")

    assert done.returncode == 0, done.stderr
    assert top_level.read_text().split() == ["roommood"]


@pytest.mark.parametrize("module", ["onnxruntime", "redis", "torch", "matplotlib", "skimage"])
def test_a_camera_brings_nothing_that_it_does_not_need(pi: Path, module: str) -> None:
    code = f"import importlib.util; print(importlib.util.find_spec({module!r}))"

    assert run(pi / "python", "-c", code).strip() == "None"


def test_a_camera_starts_and_ends_in_good_order(pi: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "room.jpg"), np.full((48, 64, 3), 120, np.uint8))
    command = [str(pi / "camera-node"), "--name", "pi-1", "--room", "kitchen"]
    command += ["--source", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as camera:
        assert camera.stderr is not None
        lines = []
        for line in camera.stderr:
            lines.append(line)
            if "camera ready" in line:
                break
        camera.send_signal(signal.SIGTERM)
        lines += camera.stderr.readlines()

    assert camera.returncode == 0, "".join(lines)
    assert "camera=pi-1" in "".join(lines)


def test_the_one_command_is_there_and_says_how_to_get_what_is_missing(
    pi: Path, wheel: Path
) -> None:
    assert "Run a component" in run(pi / "roommood", "--help")
    done = subprocess.run(
        [pi / "roommood", "rooms"],
        capture_output=True, text=True, check=False, timeout=60, cwd=wheel.parent,
    )  # fmt: skip

    assert done.returncode == 1
    error, command = done.stderr.rstrip("\n").rsplit(": ", 1)
    assert error == "error: this needs redis"
    assert command == f'{pi}/python -m pip install "./{wheel.name}[aggregator]"'


def test_the_doctor_skips_what_is_not_installed(pi: Path) -> None:
    output = run(pi / "roommood", "doctor")

    assert "extra camera: installed" in output
    for about in ("extra worker", "extra aggregator", "models", "redis"):
        assert f"skipped {about}: " in output


def test_what_is_installed_can_be_imported_by_python_that_runs_in_a_clone(pi: Path) -> None:
    assert "one" in run(pi / "python", "-c", IMPORTED, cwd=ROOT)


def test_a_newer_build_of_the_same_version_is_told_from_the_older(
    pi: Path, wheel: Path, source: Path, tmp_path: Path
) -> None:
    """And comes where the docs say how: pip itself leaves the older one, and calls that success."""
    changed = source / "shared" / "counted.py"
    former = changed.read_text()
    changed.write_text(f"{former}\n# Newer.\n")
    newer = build(source, tmp_path)
    changed.write_text(former)
    assert newer.name == wheel.name
    release = run(pi / "camera-node", "--version")
    pip = (sys.executable, "-m", "pip", "--python", pi / "python", "install", "--no-deps")
    run(*pip, newer)
    assert run(pi / "camera-node", "--version") == release
    run(*pip, "--force-reinstall", newer)
    upgraded = run(pi / "camera-node", "--version")
    run(*pip, "--force-reinstall", wheel)
    assert upgraded != release
    assert run(pi / "camera-node", "--version") == release
