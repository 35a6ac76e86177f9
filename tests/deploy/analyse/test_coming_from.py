"""What docs/coming-from.md says to who comes from another library is what happens."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from roommood.shared.opencv import cv2
from roommood.shared.protocol.emotions import EXPRESSIONS
from tests.inference_worker.pictures import astronaut, jpeg

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/coming-from.md").read_text()
Run = Callable[[str], dict[str, Any]]


def block(start: str) -> str:
    """The one program of the page that holds these words."""
    (program,) = [
        code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if start in code
    ]
    return str(program)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(jpeg(astronaut()))
    Path("broken.jpg").write_bytes(b"\xff\xd8\xff")
    Path("photos").mkdir()
    Path("photos/a.jpg").write_bytes(jpeg(astronaut()))
    Path("photos/b.jpg").write_bytes(b"")
    writer = cv2.VideoWriter("party.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 5, (512, 512))
    for _ in range(3):
        writer.write(astronaut())
    writer.release()

    def run(code: str) -> dict[str, Any]:
        names: dict[str, Any] = {}
        exec(code, names)
        return names

    return run


def test_a_picture_beside_fer(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(run(block("# FER().detect_"))["faces"]) == 1
    assert capsys.readouterr().out.splitlines()[1].startswith("happiness 0.99")


def test_rows_for_pandas(run: Run) -> None:
    made = run(block("# pandas.DataFrame"))
    (second,) = made["seconds"]
    assert second["people"] == 1
    assert second["happiness"] > 0.9
    (face,) = made["faces"]
    assert set(EXPRESSIONS) < face.keys()


def test_what_deepface_takes(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    code = block("import base64").replace(
        "https://example.org/photo.jpg", Path("photo.jpg").absolute().as_uri()
    )
    run(f"import base64\ntext = base64.b64encode(open('photo.jpg', 'rb').read()).decode()\n{code}")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "photos/a.jpg ['happiness']"
    assert lines[1] == "photos/b.jpg a picture of 0 bytes"
    assert lines[2].startswith("no picture: ")


def test_a_stream_in_words(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run(block("VideoCapture(0)").replace("VideoCapture(0)", "VideoCapture('party.mp4')"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all("'happiness'" in line for line in lines)


def test_code_of_ones_own_is_the_examples() -> None:
    shown, example = block("class OwnFrames"), (ROOT / "examples/own_frames.py").read_text()
    for line in shown.splitlines():
        if line.startswith(("from", "class", "    reads_gray")):
            assert line in example, line


def test_the_figures_are_those_of_the_last_run() -> None:
    results = (ROOT / "benchmarks/RESULTS.md").read_text()
    fer, whole, small = re.findall(
        r"in its last whole run (\S+) ms of a\s+core .*? against (\S+) \(and (\S+) with", PAGE
    )[0]
    assert (
        f"input 640 | {whole} | ms CPU/frame | fer / 10 | held | fer (Haar and its net) {fer} |"
        in results
    )
    assert f"input 320 | {small} |" in results
