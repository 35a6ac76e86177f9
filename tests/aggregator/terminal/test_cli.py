"""The commands that look at rooms, as a user runs them."""

import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import redis
import typer
from rich.console import Console

from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.stats.live import RoomNow
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.aggregator.terminal import cli as read_cli
from roommood.aggregator.terminal.period import parse_duration
from roommood.aggregator.terminal.tables import live_table
from roommood.shared import clock
from roommood.shared.errors import ConfigError
from roommood.shared.process.command import run_app
from tests.aggregator.made import delivery, face, only, result
from tests.redis_server import RedisServer

_ROOT = Path(__file__).parents[3]
_PROGRAM = (
    "import typer; from roommood.aggregator.terminal import cli;"
    "from roommood.shared.process.command import run_app;"
    "app = typer.Typer(); cli.mount(app); run_app(app)"
)


@pytest.fixture
def fed(server: RedisServer, store: Store, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """A Redis with half a minute of the kitchen, up to now, at which the commands look."""
    now_ms = clock.wall_ms()
    frames = [
        delivery(
            result(n, face(only("happiness")), interval_us=1_000_000), now_ms - 30_000 + n * 1000
        )
        for n in range(30)
    ]
    store.commit(frames, now_ms)
    store.touch_rooms({"kitchen": now_ms})
    monkeypatch.setenv("ROOMMOOD_REDIS_URL", server.url)
    return server


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "_Run":
    return _Run(monkeypatch, capsys)


class _Run:
    """Runs a command in this process; keeps its exit code, output and errors."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.app = typer.Typer()
        read_cli.mount(self.app)

    def __call__(self, *args: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["roommood", *args])
        with pytest.raises(SystemExit) as ended:
            run_app(self.app)
        out, err = self._capsys.readouterr()
        return int(ended.value.code or 0), out, err


def test_rooms_lists_what_is_known(fed: RedisServer, run: _Run) -> None:
    code, out, _ = run("rooms")
    assert code == 0
    assert "kitchen" in out


def test_rooms_and_stats_name_the_cameras_that_are_not_well(
    fed: RedisServer, client: redis.Redis, run: _Run
) -> None:
    frozen = "frozen: the same picture for 12 s"
    (silent,) = RoomStats(fed.url).camera_states(["kitchen"])["kitchen"].items()
    assert silent[1] == "silent"
    client.hset(redis_keys.camera(silent[0]), "source", frozen)
    client.expire(redis_keys.camera(silent[0]), redis_keys.HEALTH_TTL_S)
    assert f"{silent[0]}: {frozen}" in run("rooms")[1]
    assert f"camera {silent[0]}: {frozen}\n" in run("stats", "kitchen")[1]
    client.hset(redis_keys.camera(silent[0]), "source", "ok")
    client.expire(redis_keys.camera(silent[0]), redis_keys.HEALTH_TTL_S)
    assert "1 ok" in run("rooms")[1]
    assert frozen not in run("stats", "kitchen")[1]


def test_rooms_says_so_when_there_are_none(server: RedisServer, run: _Run) -> None:
    assert run("rooms", "--redis", server.url) == (
        0,
        "No room yet: nothing has been counted.\n",
        "",
    )


@pytest.mark.parametrize("columns", [40, 80])
def test_a_narrow_terminal_leaves_nothing_out(
    columns: int, fed: RedisServer, monkeypatch: pytest.MonkeyPatch, run: _Run
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    for command in (["rooms"], ["stats", "kitchen", "--last", "10m", "--by", "1m"]):
        out = re.sub(r"\x1b\[[0-9;]*m", "", run(*command)[1])
        table = [line for line in out.splitlines() if line.endswith((" ", "┃", "│"))]
        assert table
        assert "…" not in out
        assert all(len(line) <= columns for line in table)


def test_stats_speaks_of_the_expression_shown(fed: RedisServer, run: _Run) -> None:
    code, out, _ = run("stats", "kitchen", "--last", "10m", "--by", "1m")
    assert code == 0
    assert "Expression shown" in out
    assert "happiness" in out
    assert "30 frames" in out
    assert "emotion" not in out.lower()


def test_stats_shows_intervals_where_there_are_any(
    fed: RedisServer, store: Store, run: _Run
) -> None:
    few = run("stats", "kitchen", "--last", "10m")[1]
    assert "3 looks at sure faces" in few
    assert "Too little seen yet for intervals: they need 5 looks" in few
    assert "95 %" not in few

    now_ms = clock.wall_ms()
    earlier = [
        delivery(
            result(n, face(only("happiness")), session_id="boot", interval_us=1_000_000),
            now_ms - 120_000 + n * 1000,
        )
        for n in range(30)
    ]
    store.commit(earlier, now_ms)
    enough = run("stats", "kitchen", "--last", "10m")[1]
    assert "6 looks at sure faces" in enough
    assert "Too little" not in enough
    assert "95 % interval" in enough
    assert re.search(r"happiness .* [0-9]+ % to 100 % ", enough)


def test_stats_as_json_has_the_documented_keys(fed: RedisServer, run: _Run) -> None:
    code, out, _ = run("stats", "kitchen", "--last", "10m", "--by", "1m", "--json")
    document = json.loads(out)
    assert code == 0
    assert set(document) == {"summary", "periods"}
    assert set(document["summary"]) == {
        "room", "start", "end", "coverage", "people", "shares", "dominant", "valence",
        "sure_share", "suppressed_share", "frames", "face_s", "cameras",
        "looks", "uncorrected_share", "uncorrected_models",
    }  # fmt: skip
    assert set(document["summary"]["shares"]["happiness"]) == {
        "raw", "low", "high", "corrected", "corrected_low", "corrected_high",
    }  # fmt: skip
    assert document["summary"]["frames"] == 30
    assert document["summary"]["end"].endswith("Z")
    assert len(document["periods"]) == 10
    assert document["periods"][0]["people"] is None


def test_stats_as_csv_has_a_line_for_each_period(fed: RedisServer, run: _Run) -> None:
    code, out, _ = run("stats", "kitchen", "--last", "10m", "--by", "1m", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert len(rows) == 10
    assert sum(int(row["frames"]) for row in rows) == 30
    assert rows[0]["share_happiness"] == ""
    assert float(next(row for row in rows if row["people"])["share_happiness"]) == 1.0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("stats", "kichen"), "known rooms: kitchen"),
        (("stats", "kitchen", "--last", "1y"), "30s, 10m, 1h or 7d"),
        (("stats", "kitchen", "--by", "15s"), "multiple of 10s"),
        (("stats", "kitchen", "--json", "--csv"), "choose one"),
        (("stats", "Kitchen"), "for example 'kitchen'"),
        (("watch", "kichen"), "known rooms: kitchen"),
        (("pause", "a b"), "not a room name"),
        (("rooms", "--redis", "http://x"), "not a Redis URL"),
    ],
)
def test_a_mistake_is_one_clear_line_and_exit_code_2(
    fed: RedisServer, run: _Run, args: Sequence[str], message: str
) -> None:
    code, out, err = run(*args)
    assert code == 2
    assert out == ""
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_redis_down_is_one_clear_line_and_exit_code_1(run: _Run) -> None:
    code, out, err = run("rooms", "--redis", "unix:///nowhere/redis.sock")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "does not answer" in err


def test_rooms_are_paused_and_resumed(fed: RedisServer, run: _Run, client: redis.Redis) -> None:
    assert run("pause", "kitchen") == (0, "kitchen is paused\n", "")
    assert client.smembers(redis_keys.PAUSED) == {"kitchen"}
    assert run("resume", "kitchen")[1] == "kitchen is no longer paused\n"
    assert run("resume", "kitchen")[1] == "kitchen was not paused\n"


@pytest.mark.parametrize("command", [("pause",), ("forget",), ("views", "apart")])
def test_a_room_never_heard_of_is_refused_with_those_that_are_known(
    fed: RedisServer, run: _Run, client: redis.Redis, command: tuple[str, ...]
) -> None:
    code, _, err = run(command[0], "kichen", *command[1:])
    assert code == 2
    assert "no room 'kichen'; known rooms: kitchen" in err
    assert not client.smembers(redis_keys.PAUSED)


def test_a_room_that_is_still_to_come_can_be_paused(
    fed: RedisServer, run: _Run, client: redis.Redis
) -> None:
    assert run("pause", "cellar", "--new")[0] == 0
    assert client.smembers(redis_keys.PAUSED) == {"cellar"}


@pytest.mark.parametrize("words", [("group", "attic"), ("views", "apart"), ("quiet", "1:00-2:00")])
def test_a_room_that_is_still_to_come_can_be_set(
    fed: RedisServer, run: _Run, words: tuple[str, str]
) -> None:
    command, value = words
    assert "--new sets it for one that is still to come" in run(command, "cellar", value)[2]
    assert run(command, "cellar", value, "--new")[0] == 0


def test_what_a_rooms_cameras_see_is_kept_for_every_reader(
    fed: RedisServer, run: _Run, client: redis.Redis
) -> None:
    assert run("views", "kitchen", "apart")[1] == "the cameras of kitchen see different people\n"
    assert client.hgetall(redis_keys.VIEWS) == {"kitchen": "apart"}
    assert run("views", "kitchen", "same")[0] == 0
    assert client.hgetall(redis_keys.VIEWS) == {}


def test_a_camera_is_paused_by_itself(fed: RedisServer, run: _Run, client: redis.Redis) -> None:
    code, _, err = run("pause", "kitchen", "--camera", "window")
    assert (code, "no camera 'window' in kitchen lately" in err) == (2, True)
    assert run("pause", "kitchen", "--camera", "door")[1] == "door in kitchen is paused\n"
    assert client.smembers(redis_keys.PAUSED_CAMERAS) == {"door"}
    assert not client.smembers(redis_keys.PAUSED)
    assert run("resume", "kitchen", "--camera", "door")[1] == "door is no longer paused\n"
    assert not client.smembers(redis_keys.PAUSED_CAMERAS)


def test_a_room_is_put_into_a_group(fed: RedisServer, run: _Run, client: redis.Redis) -> None:
    assert run("group", "kitchen", " first  floor")[0] == 0
    assert client.hgetall(redis_keys.GROUPS) == {"kitchen": "first floor"}
    assert "first floor" in run("rooms")[1]
    assert "1 to 40 letters" in run("group", "kitchen", "x" * 41)[2]
    assert run("group", "kitchen", "")[0] == 0
    assert client.hgetall(redis_keys.GROUPS) == {}


def test_quiet_hours_are_kept_with_their_zone(
    fed: RedisServer, run: _Run, client: redis.Redis
) -> None:
    spans = ("Mon-Fri 22:00-06:30", "sat,sun 00:00-24:00")
    assert run("quiet", "kitchen", *spans, "--timezone", "Asia/Kolkata")[0] == 0
    kept = "Asia/Kolkata; mon-fri 22:00-06:30; sat,sun 00:00-24:00"
    assert client.hgetall(redis_keys.QUIET_HOURS) == {"kitchen": kept}
    assert "are not a span of time" in run("quiet", "kitchen", "nights")[2]
    assert client.hgetall(redis_keys.QUIET_HOURS) == {"kitchen": kept}
    assert run("quiet", "kitchen")[1] == f"quiet hours of kitchen: {kept}\n"
    assert client.hgetall(redis_keys.QUIET_HOURS) == {"kitchen": kept}
    assert run("quiet", "kitchen", "")[0] == 0
    assert client.hgetall(redis_keys.QUIET_HOURS) == {}
    assert run("quiet", "kitchen")[1] == "kitchen has no quiet hours\n"


def test_forget_asks_first_and_deletes_when_told(
    fed: RedisServer, run: _Run, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert run("forget", "kitchen")[0] == 1
    assert client.exists(redis_keys.live("kitchen"))
    code, out, _ = run("forget", "kitchen", "--yes")
    assert code == 0
    assert "kitchen is forgotten" in out
    assert list(client.scan_iter("*kitchen*")) == [redis_keys.forgotten("kitchen")]


def test_watch_piped_prints_a_line_for_each_change_and_ends_by_itself(
    fed: RedisServer, run: _Run
) -> None:
    code, out, _ = run("watch", "--seconds", "0")
    assert code == 0
    (line,) = out.splitlines()
    assert "kitchen: people 1.00, most: happiness" in line


def test_watch_piped_says_that_there_is_no_room_yet(server: RedisServer, run: _Run) -> None:
    code, out, err = run("watch", "--seconds", "0", "--redis", server.url)
    assert (code, out) == (0, "")
    assert err == "No room yet: nothing has been counted.\n"


def _watching(url: str, **options: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", _PROGRAM, "watch", "--redis", url]
    return subprocess.Popen(command, cwd=_ROOT, **options)  # type: ignore[call-overload, no-any-return]


def test_watch_ends_with_0_on_ctrl_c(fed: RedisServer) -> None:
    watching = _watching(fed.url, stdout=subprocess.PIPE)
    with watching:
        assert watching.stdout is not None
        assert b"kitchen" in watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 0


def test_watch_waits_for_a_redis_that_hangs(fed: RedisServer, store: Store) -> None:
    watching = _watching(fed.url, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        assert b"kitchen" in watching.stdout.readline()
        fed.freeze()
        try:
            assert b"does not answer" in watching.stderr.readline()
        finally:
            fed.thaw()
        now_ms = clock.wall_ms()
        store.commit([delivery(result(30, face()), now_ms)], now_ms)
        assert b"kitchen" in watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 0


def test_watch_on_a_terminal_draws_a_table(fed: RedisServer) -> None:
    terminal, its_end = pty.openpty()
    watching = _watching(fed.url, stdout=its_end)
    os.close(its_end)
    drawn = b""
    while b"kitchen" not in drawn:
        drawn += os.read(terminal, 4096)
    watching.send_signal(signal.SIGINT)
    assert watching.wait(10) == 0
    os.close(terminal)
    assert "─".encode() in drawn


def test_the_live_table_shows_silent_rooms_as_silent(fed: RedisServer, client: redis.Redis) -> None:
    with RoomStats(client) as stats:
        rooms = [*stats.live_rooms(), RoomNow("hall")]
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(live_table(rooms))
    text = console.export_text()
    assert "happiness 100 %" in text
    assert "hall" in text
    assert "silent" in text


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("30s", timedelta(seconds=30)),
        ("10m", timedelta(minutes=10)),
        ("1h", timedelta(hours=1)),
        ("7d", timedelta(days=7)),
    ],
)
def test_times_are_read(text: str, time: timedelta) -> None:
    assert parse_duration(text) == time


@pytest.mark.parametrize("text", ["", "5", "h", "0s", "-1h", "1.5h", "1 h", "1H", "٣s", "1h30m"])
def test_times_that_are_not_one_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="30s, 10m, 1h or 7d"):
        parse_duration(text)


def test_help_is_instant_because_nothing_heavy_is_imported() -> None:
    check = (
        "import sys, roommood.aggregator.terminal.cli;"
        "print([m for m in ('redis', 'zmq', 'numpy', 'cv2') if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", check], cwd=_ROOT, capture_output=True, check=True, text=True
    )
    assert out.stdout == "[]\n"


@pytest.mark.parametrize(
    "command",
    ["rooms", "stats", "export", "watch", "pause", "resume", "forget", "views", "group", "quiet"],
)
def test_every_command_has_an_example(run: _Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"Example: roommood {command}" in out


def test_a_day_by_the_clock_of_a_zone_is_one_row(fed: RedisServer, run: _Run) -> None:
    when = ("--from", "today", "--by", "1d", "--timezone", "Pacific/Auckland")
    code, out, _ = run("stats", "kitchen", *when, "--json")
    (day,) = json.loads(out)["periods"]

    assert code == 0
    assert day["start"].endswith(("T11:00:00.000Z", "T12:00:00.000Z"))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--from", "today", "--last", "1h"), "choose one"),
        (("--to", "today"), "--to needs --from"),
        (("--from", "noon"), "is no time"),
        (("--from", "today", "--timezone", "Mars/Olympus"), "is no time zone"),
    ],
)
def test_a_time_that_makes_no_sense_is_refused(
    fed: RedisServer, run: _Run, options: tuple[str, ...], why: str
) -> None:
    code, _, err = run("stats", "kitchen", *options)
    assert (code, err.count("\n")) == (2, 1)
    assert why in err


@pytest.mark.parametrize("option", ["--last", "--by"])
def test_an_option_that_is_given_empty_is_not_taken_for_none(
    option: str, fed: RedisServer, run: _Run
) -> None:
    """As a shell gives what is not set."""
    for command in ("stats", "export"):
        code, _, err = run(command, "kitchen", option, "")
        assert (code, "'' is not a time" in err) == (2, True)


def test_a_report_goes_to_the_standard_output_where_it_is_asked_to(
    fed: RedisServer, run: _Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("report", "kitchen", "-o", "-")
    assert (code, out.startswith("<!doctype html>"), err) == (0, True, "-: kitchen\n")
    assert not [*tmp_path.iterdir()]
