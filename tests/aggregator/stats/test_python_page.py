"""docs/python.md and the example beside it do what they say."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from roommood.aggregator.counting.store import Store
from roommood.aggregator.stats.export import COLUMNS
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.shared import clock
from roommood.shared.opencv import cv2
from roommood.shared.protocol.emotions import EXPRESSIONS
from tests.aggregator.made import delivery, face, result
from tests.inference_worker.pictures import astronaut, jpeg
from tests.redis_server import RedisServer

_ROOT = Path(__file__).parents[3]
PAGE = (_ROOT / "docs/python.md").read_text()
OF_A_ROOM, OF_PICTURES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def fed(server: RedisServer, store: Store) -> RedisServer:
    """Some hours of the kitchen, with one in which nobody was there and one without frames."""
    now_ms = clock.wall_ms()
    frames = [
        delivery(result(n, *[face()] * (n % 3), interval_us=5_000_000), now_ms - hours_ago * 3.6e6)
        for n, hours_ago in enumerate((5.5, 5.4, 5.3, 4.5, 4.4, 2.2, 2.1, 0.0))
    ]
    assert not store.commit(frames, now_ms).errors
    store.touch_rooms({"kitchen": now_ms})
    return server


def test_the_python_of_the_page_runs(fed: RedisServer, capsys: pytest.CaptureFixture[str]) -> None:
    exec(OF_A_ROOM.replace("redis://127.0.0.1:6379/0", fed.url), {})
    assert "kitchen" in capsys.readouterr().out


def test_the_python_of_photographs_and_videos_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path("photos/astronaut.jpg").write_bytes(jpeg(astronaut()))
    Path("photo.jpg").write_bytes(jpeg(astronaut()))
    Path("photos/broken.jpg").write_bytes(b"")
    writer = cv2.VideoWriter("party.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 5, (512, 512))
    writer.write(astronaut())
    writer.release()
    exec(OF_PICTURES, {})
    alone, *lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"photos/astronaut.jpg {alone}"
    assert lines[0].startswith("photos/astronaut.jpg (")
    assert "happiness 0.9" in lines[0]
    assert lines[1:2] == ["photos/broken.jpg a picture of 0 bytes"]
    assert lines[2].startswith("0 1.0 0.9")


def test_every_call_that_the_page_names_exists() -> None:
    for name in re.findall(r"`\.(\w+)\(", PAGE):
        assert callable(getattr(RoomStats, name))


def test_the_page_names_every_column() -> None:
    table = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    named = {name for cell in table for name in re.findall(r"`(\w+)(?:<expression>)?`", cell)}
    plain = {re.sub(f"({'|'.join(EXPRESSIONS)}).*", "", column) for column in COLUMNS}
    assert plain <= named


def test_the_example_plots_a_day(
    fed: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    picture = tmp_path / "kitchen.png"
    monkeypatch.setattr(sys, "argv", ["plot_day.py", "kitchen", str(picture), fed.url])
    runpy.run_path(str(_ROOT / "examples/plot_day.py"), run_name="__main__")
    assert _colours(picture) > 5


def _colours(picture: Path) -> int:
    import matplotlib.image
    import numpy as np

    pixels = matplotlib.image.imread(picture)[..., :3].reshape(-1, 3)
    _, counts = np.unique((pixels * 255).astype(int), axis=0, return_counts=True)
    return int((counts > 200).sum())
