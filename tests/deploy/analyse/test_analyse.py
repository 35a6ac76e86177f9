"""A video file without a site: people and expressions by second of its own time."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from roommood.deploy.analyse.run import run_analysis
from roommood.deploy.analyse.table import as_csv, as_json
from roommood.inference_worker.vision.analysis import Analyzer, open_analyzer
from roommood.shared.errors import ConfigError, SourceError
from roommood.shared.opencv import cv2
from roommood.shared.protocol.emotions import EXPRESSIONS
from tests.camera_node.sources.made_videos import matroska, written, zero_frames
from tests.inference_worker.pictures import astronaut, jpeg

RATE_HZ = 10


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return open_analyzer()


@pytest.fixture(scope="module")
def party(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds with a face, then two without."""
    path = tmp_path_factory.mktemp("video") / "party.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE_HZ, (512, 512))
    for frame in [astronaut()] * 2 * RATE_HZ + [np.full((512, 512, 3), 90, np.uint8)] * 2 * RATE_HZ:
        writer.write(frame)
    writer.release()
    return path


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, float("nan")])
def test_a_rate_at_which_nothing_is_looked_at_is_refused(
    party: Path, analyzer: Analyzer, rate_hz: float
) -> None:
    with pytest.raises(ConfigError, match="give more than 0 frames a second"):
        run_analysis(party, analyzer, rate_hz)


def test_each_second_tells_its_people_and_what_they_show(party: Path, analyzer: Analyzer) -> None:
    steps: list[tuple[int, int]] = []
    seconds = run_analysis(party, analyzer, 5.0, progress=lambda *done: steps.append(done))
    assert [second.at_s for second in seconds] == [0, 1, 2, 3]
    assert [second.frames for second in seconds] == [5, 5, 5, 5]
    assert [second.people for second in seconds] == [1.0, 1.0, 0.0, 0.0]
    for second in seconds[:2]:
        assert second.shares is not None
        assert sum(second.shares.values()) == pytest.approx(1, abs=0.01)
    assert seconds[3].shares is None
    assert steps[-1][1] == 4000
    assert steps == sorted(steps)


def test_csv_leaves_empty_what_is_not_known(party: Path, analyzer: Analyzer) -> None:
    lines = list(csv.DictReader(as_csv(run_analysis(party, analyzer, 2.0))))
    assert list(lines[0])[-len(EXPRESSIONS) :] == list(EXPRESSIONS)
    assert lines[0]["people"] == "1.000"
    assert lines[3]["people"] == "0.000"
    assert {lines[3][name] for name in EXPRESSIONS} == {""}


def test_json_has_an_object_a_second_and_null_for_what_is_not_known(
    party: Path, analyzer: Analyzer
) -> None:
    lines = [json.loads(line) for line in as_json(run_analysis(party, analyzer, 2.0))]
    assert [line["second"] for line in lines] == [0, 1, 2, 3]
    assert set(lines[0]["shares"]) == set(EXPRESSIONS)
    assert lines[3] == {
        "second": 3, "frames": 2, "people": 0.0, "sure_faces": 0, "shares": None
    }  # fmt: skip


def test_a_video_that_was_cut_off_is_named(
    party: Path, analyzer: Analyzer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = party.read_bytes()
    run_analysis(party, analyzer, 5.0)
    assert not caplog.messages
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole[: len(whole) // 4])
    seconds = run_analysis(cut, analyzer, 5.0)
    assert seconds[-1].at_s < 2
    assert "cut.avi is to last 4.0 s, but nothing can be read after" in caplog.text


@pytest.mark.parametrize(
    ("times_ms", "duration_ms", "at_s"),
    [
        (range(100_000, 104_000, 200), 104_000.0, [0, 1, 2, 3]),  # it begins late
        (range(0, 16_000, 4_000), 16_000.0, [0, 4, 8, 12]),  # few frames, the last as long as any
    ],
)
def test_a_whole_video_is_not_said_to_be_cut_off(
    times_ms: range, duration_ms: float, at_s: list[int],
    analyzer: Analyzer, tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    path = matroska(tmp_path / "whole.mkv", jpeg(astronaut()), times_ms, duration_ms)
    seconds = run_analysis(path, analyzer, 5.0)
    assert [second.at_s for second in seconds] == at_s
    assert {second.people for second in seconds} == {1.0}
    assert not caplog.messages


def test_a_video_that_begins_late_and_was_cut_off_is_named(
    analyzer: Analyzer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    times_ms = range(100_000, 104_000, 200)
    path = matroska(tmp_path / "cut.mkv", jpeg(astronaut()), times_ms, 120_000.0)
    run_analysis(path, analyzer, 1.0)
    assert "is to last 20.0 s, but nothing can be read after 3.8 s: was it cut off?" in caplog.text


def test_frames_without_a_time_of_their_own_are_looked_at(
    analyzer: Analyzer, tmp_path: Path
) -> None:
    """Recordings that were put together: the times of the second begin anew."""
    path = written(tmp_path / "one.ts", "mpg2", [astronaut()] * 2 * RATE_HZ, RATE_HZ)
    path.write_bytes(2 * path.read_bytes())
    seconds = run_analysis(path, analyzer, 5.0)
    assert [(second.at_s, second.frames) for second in seconds] == [(n, 5) for n in range(4)]


def test_pictures_that_are_damaged_are_left_out_and_told(
    party: Path, analyzer: Analyzer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "damaged.avi"
    path.write_bytes(party.read_bytes())
    zero_frames(path, 0, 10)
    seconds = run_analysis(path, analyzer, 10.0)
    assert [second.frames for second in seconds] == [9, 9, 10, 10]
    assert "damaged.avi: 2 pictures of it are damaged and left out" in caplog.text


def test_a_name_that_is_not_utf8_is_an_error_and_no_crash(party: Path, tmp_path: Path) -> None:
    """With OpenCV alone the process dies of a segmentation fault."""
    path = tmp_path / "b\udcff.avi"
    path.write_bytes(party.read_bytes())
    done = roommood("analyse", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "b\\udcff.avi: this name is not UTF-8: rename it" in done.stderr


def test_what_is_no_video_is_told(tmp_path: Path, analyzer: Analyzer) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("no video")
    with pytest.raises(SourceError, match="no video that FFmpeg reads"):
        run_analysis(path, analyzer, 5.0)


def test_the_command_prints_a_table_and_needs_no_redis(party: Path) -> None:
    done = roommood("analyse", str(party))
    assert done.returncode == 0, done.stderr
    assert "Expressions shown" in done.stdout
    assert "0:03" in done.stdout
    assert all(name in done.stdout for name in EXPRESSIONS)


def test_two_videos_are_refused(party: Path) -> None:
    done = roommood("analyse", str(party), str(party))
    assert done.returncode == 2
    assert "give one video by itself, or pictures and folders of them" in done.stderr


def roommood(*arguments: str) -> "subprocess.CompletedProcess[str]":
    code = "from roommood.deploy.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
