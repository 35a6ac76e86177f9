"""A room's history as CSV and JSON lines, whole or not at all, and as one goes along."""

import csv
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import redis

from roommood.aggregator.counting.store import Store
from roommood.aggregator.stats.export import COLUMNS, export_room, json_lines
from roommood.aggregator.stats.room_stats import Periods, RoomStats
from roommood.shared import clock
from roommood.shared.errors import ConfigError, StoreAway
from roommood.shared.process.atomic_file import atomic_file
from tests.aggregator.made import delivery, face, only, result
from tests.redis_server import RedisServer

_ROOT = Path(__file__).parents[3]
_PROGRAM = "from roommood.deploy.cli import main; main()"
FRAMES = 30


@pytest.fixture
def fed(server: RedisServer, store: Store) -> RedisServer:
    """A Redis with half a minute of the kitchen, up to now, and a hall long silent."""
    now_ms = clock.wall_ms()
    frames = [
        delivery(
            result(n, face(only("happiness")), interval_us=1_000_000), now_ms - 30_000 + n * 1000
        )
        for n in range(FRAMES)
    ]
    store.commit(frames, now_ms)
    store.touch_rooms({"kitchen": now_ms, "hall": now_ms - 9e8})
    return server


def export(server: RedisServer, *args: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _PROGRAM, "export", *map(str, args), "--redis", server.url]
    return subprocess.run(
        command, cwd=_ROOT, capture_output=True, text=True, check=False, timeout=60
    )


def test_csv_has_a_row_for_each_bucket_with_units_in_its_columns(fed: RedisServer) -> None:
    done = export(fed, "kitchen", "--last", "1h", "--bucket", "1m", "--csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert (done.returncode, done.stderr) == (0, "")
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 60
    assert sum(int(row["frames"]) for row in rows) == FRAMES
    assert sum(float(row["face_s"]) for row in rows) == pytest.approx(FRAMES)
    assert rows[0]["people"] == rows[0]["share_happiness"] == ""
    shown = [row for row in rows if row["people"]]
    assert {row["share_happiness"] for row in shown} == {"1.0"}
    assert all(row["start_utc"].endswith("Z") for row in rows)
    assert all(a["end_utc"] == b["start_utc"] for a, b in pairwise(rows))


def test_json_is_an_object_a_line(fed: RedisServer) -> None:
    done = export(fed, "kitchen", "--last", "10m", "--bucket", "1m", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 10
    assert (rows[0]["people"], rows[0]["dominant"]) == (None, None)
    assert {row["dominant"] for row in rows if row["frames"]} == {"happiness"}
    assert sum(row["frames"] for row in rows) == FRAMES
    assert rows[-1]["end"].endswith("Z")


@pytest.mark.parametrize(
    ("last", "rows"), [("6h", 2160), ("7d", 10_080), ("8d", 192), ("400d", 9600)]
)
def test_without_a_bucket_rows_are_the_shortest_that_are_kept(
    fed: RedisServer, client: redis.Redis, last: str, rows: int
) -> None:
    times = {"h": "hours", "d": "days"}
    asked = timedelta(**{times[last[-1]]: int(last[:-1])})
    assert RoomStats(client).periods("kitchen", asked).count == rows


def test_a_file_is_whole_and_takes_the_place_of_the_one_before(
    fed: RedisServer, tmp_path: Path
) -> None:
    path = tmp_path / "kitchen.csv"
    path.write_text("an older one")
    done = export(fed, "kitchen", "--last", "10m", "--bucket", "1m", "-o", path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(path.read_text().splitlines()) == 11
    assert os.listdir(tmp_path) == ["kitchen.csv"]


def test_a_new_file_is_its_owner_s_alone_and_one_that_was_there_keeps_its_mode(
    fed: RedisServer, tmp_path: Path
) -> None:
    new, shared = tmp_path / "new.csv", tmp_path / "shared.csv"
    shared.touch()
    shared.chmod(0o640)
    for path in (new, shared):
        assert export(fed, "kitchen", "--last", "10m", "-o", path).returncode == 0
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    assert stat.S_IMODE(shared.stat().st_mode) == 0o640


def broken() -> Iterator[str]:
    """A line, and then Redis is away."""
    yield "half\n"
    raise StoreAway("Redis went away")


def test_an_export_that_breaks_off_leaves_the_file_before_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "kitchen.csv"
    path.write_text("an older one")
    with pytest.raises(StoreAway), atomic_file(path) as file:
        file.writelines(broken())
    assert path.read_text() == "an older one"
    assert os.listdir(tmp_path) == ["kitchen.csv"]


def test_writing_straight_to_the_file_would_lose_the_one_before(tmp_path: Path) -> None:
    """The control of the test above."""
    path = tmp_path / "kitchen.csv"
    path.write_text("an older one")
    with pytest.raises(StoreAway), path.open("w") as file:
        file.writelines(broken())
    assert path.read_text() == "half\n"


def test_rows_go_out_while_later_ones_are_still_to_be_read(
    fed: RedisServer, client: redis.Redis
) -> None:
    asked: list[int] = []

    class Counting(redis.Redis):
        def pipeline(self, *args: object, **kwargs: object) -> redis.client.Pipeline:
            asked.append(1)
            return super().pipeline(*args, **kwargs)

    counting = Counting(connection_pool=client.connection_pool)
    periods = iter(RoomStats(counting).periods("kitchen", timedelta(days=7)))
    next(periods)
    after_first = len(asked)
    assert sum(1 for _ in periods) == 10_079
    assert after_first * 5 < len(asked)


def test_a_link_goes_on_pointing_to_its_file(fed: RedisServer, tmp_path: Path) -> None:
    link, file = tmp_path / "latest.csv", tmp_path / "kitchen.csv"
    file.write_text("an older one")
    link.symlink_to(file)
    assert export(fed, "kitchen", "--last", "10m", "-o", link).returncode == 0
    assert link.is_symlink()
    assert file.read_text().startswith("room,start_utc")


def test_a_room_of_which_nothing_was_observed_says_so(fed: RedisServer) -> None:
    done = export(fed, "hall", "--last", "1h", "--bucket", "10m")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 7
    assert "nothing of hall was observed then: all 6 rows are empty" in done.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("kichen",), "known rooms: hall, kitchen"),
        (("kitchen", "--csv", "--json"), "choose one"),
        (("kitchen", "--last", "8d", "--bucket", "1m"), "not kept"),
        (("kitchen", "--last", "401d"), "not kept"),
        (("kitchen", "--output", "/nowhere/kitchen.csv"), "/nowhere/kitchen.csv cannot be written"),
        (("kitchen", "--output", "/dev/null"), "/dev/null is no file"),
    ],
)
def test_a_mistake_is_one_clear_line(fed: RedisServer, args: tuple[str, ...], message: str) -> None:
    done = export(fed, *args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_reader_that_has_seen_enough_is_no_error_of_ours(fed: RedisServer) -> None:
    command = f"{sys.executable} -c '{_PROGRAM}' export kitchen --redis '{fed.url}' | head -n 1"
    done = subprocess.run(
        command, shell=True, cwd=_ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.startswith("room,start_utc")
    assert done.stderr == ""


def test_what_cannot_be_written_leaves_nothing_behind(
    fed: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    folder = tmp_path / "kitchen.csv"
    folder.mkdir()
    periods: Periods = RoomStats(client).periods("kitchen", timedelta(hours=1))
    with pytest.raises(ConfigError, match="is no file"):
        export_room(periods, json_lines, folder)
    assert os.listdir(tmp_path) == ["kitchen.csv"]
