"""Every setting can be given in a file, in the environment and as a flag, and arrives."""

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from roommood.deploy import cli
from roommood.shared.process.settings import (
    TABLES,
    CameraSettings,
    ExporterSettings,
    MqttSettings,
    load,
)
from roommood.shared.process.settings.options import with_settings
from roommood.shared.process.settings.rows import Row, rows_of

ROWS = [row for table in TABLES.values() for row in rows_of(table) if row.table == table.TABLE]
EVERY_ROW = pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.table}.{row.key}")
EVERY_VARIABLE = pytest.mark.parametrize(
    ("row", "variable"), [(row, name) for row in ROWS for name in row.variables]
)
MASK = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0]]
OF_KIND: dict[str, Any] = {
    "text": "other",
    "text or number": "simulated",
    "name": "hall-2",
    "path": "/elsewhere/file",
    "URL": "redis://desk:6379/3",
    "host:port": "127.0.0.1:7001",
    "list of host:port": ["127.0.0.1:7001", "127.0.0.1:7002"],
    "list of page URL": ["https://rooms.example", "http://desk:8080"],
    "list of text": ["22:00-06:30", "12:00-13:00"],
    "list of points": [MASK, MASK],
    "time zone": "Asia/Kolkata",
}
OF_KEY: dict[str, Any] = {
    "broker": "mqtts://home:8883", "rate_hz": 12.5, "page": "http://desk:5780"
}  # fmt: skip
# What a setting needs beside it.
BESIDE = {
    ("mqtt", "password_file"): {"user": "me"},
    ("mqtt", "ca_file"): {"broker": "mqtts://home:8883"},
}


def sample(row: Row) -> Any:
    """A value that is allowed and not the default."""
    if row.kind.is_switch:
        return not row.default
    if row.kind.name == "choice":
        others = (choice for choice in row.kind.bounds.split(", ") if choice != str(row.default))
        return int(word) if (word := next(others)).isdigit() else word
    if row.kind.name in ("number", "whole number") and row.key not in OF_KEY:
        least = float(row.kind.bounds.partition(" ")[0])
        return least if least != row.default else least + 1
    return OF_KEY.get(row.key, OF_KIND.get(row.kind.name))


def beside(row: Row) -> dict[str, Any]:
    needed = {"name": "cam", "room": "den"} if row.table == "camera" else {}
    return {key: value for key, value in needed.items() if key != row.key} | BESIDE.get(
        (row.table, row.key), {}
    )


def as_text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(value) if isinstance(value[0], str) else json.dumps(value)
    return str(value)


def as_flags(row: Row, value: Any) -> list[str]:
    if row.kind.is_switch:
        return [row.flag if value else f"--no-{row.flag[2:]}"]
    items = value if isinstance(value, list) else [value]
    texts = [item if isinstance(item, str) else json.dumps(item) for item in items]
    return [word for text in texts for word in (row.flag, text)]


def given_as_flags(row: Row, words: list[str]) -> Any:
    """The value that a command with this table's options gets."""
    app, got = typer.Typer(), []

    @app.command()
    @with_settings(TABLES[row.table])
    def command(settings: Any) -> None:
        got.append(getattr(settings, row.key))

    others = [f"--{key}={value}" for key, value in beside(row).items()]
    done = CliRunner().invoke(app, [*others, *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return got[0]


@EVERY_ROW
def test_a_setting_of_a_file_arrives(row: Row, tmp_path: Path) -> None:
    path = tmp_path / "roommood.toml"
    path.write_text(f"[{row.table}]\n{row.key} = {json.dumps(sample(row))}\n")
    settings = load(TABLES[row.table], path, beside(row))
    assert getattr(settings, row.key) == row.kind.check(sample(row)) != row.default


@EVERY_VARIABLE
def test_a_setting_of_the_environment_arrives(row: Row, variable: str) -> None:
    environ = {variable: as_text(sample(row))}
    settings = load(TABLES[row.table], None, beside(row), environ)
    assert getattr(settings, row.key) == row.kind.check(sample(row)) != row.default


@EVERY_ROW
def test_a_setting_given_as_a_flag_arrives(row: Row) -> None:
    assert given_as_flags(row, as_flags(row, sample(row))) == row.kind.check(sample(row))


@EVERY_ROW
def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "roommood.toml"
    path.write_text(f"[{row.table}]\n{row.key} = {json.dumps(sample(row))}\n")
    if row.is_needed or row.default in (None, (), "") or row.key == "workers":
        return
    default = list(row.default) if isinstance(row.default, tuple) else row.default
    environ = {row.variable: as_text(default)}
    assert getattr(load(TABLES[row.table], path, beside(row), environ), row.key) == row.default
    monkeypatch.setenv(row.variable, as_text(sample(row)))
    assert given_as_flags(row, as_flags(row, default)) == row.default


@pytest.mark.parametrize(
    ("path", "table"),
    [
        (["camera"], "camera"),
        (["camera", "preview"], "preview"),
        (["worker"], "worker"),
        (["aggregator"], "aggregator"),
        (["dashboard"], "dashboard"),
        (["exporter"], "exporter"),
        (["mqtt"], "mqtt"),
        *([[name], "redis"] for name in ("rooms", "stats", "export", "watch", "pause", "forget")),
    ],
)
def test_a_command_has_a_flag_for_each_setting_of_its_table(path: list[str], table: str) -> None:
    command: Any = get_command(cli.app)
    for name in path:
        command = command.commands[name]
    flags = {flag for param in command.params for flag in param.opts}
    assert {flag for row in rows_of(TABLES[table]) for flag in row.flags} <= flags
    assert "--config" in flags


def test_every_field_of_every_table_is_a_setting() -> None:
    for table in TABLES.values():
        assert {row.key for row in rows_of(table)} == {field.name for field in fields(table)}


def printed(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any, **environ: str) -> str:
    """What the `roommood` command writes as it refuses a setting."""
    for name in [name for name in os.environ if name.startswith("ROOMMOOD_")]:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["roommood", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    return str(capsys.readouterr().err)


CAMERA = ["camera", "--name", "a", "--room", "b"]


@pytest.mark.parametrize(
    "words",
    [
        CAMERA, ["camera", "preview"], ["worker"], ["aggregator"],
        ["dashboard"], ["exporter"], ["mqtt"],
    ],
    ids=lambda words: words[-1],
)  # fmt: skip
def test_a_log_level_that_is_none_is_one_clear_line(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told_lines = printed([*words, "--log-level", "foo"], monkeypatch, capsys)
    assert told_lines == "error: --log-level foo: give debug, info, warning or error\n"


@pytest.mark.parametrize(
    ("words", "name", "value", "message"),
    [
        (CAMERA, "ROOMMOOD_CAMERA_ROTATION", "17",
         "ROOMMOOD_CAMERA_ROTATION=17: give 0, 90, 180 or 270"),
        (["worker"], "ROOMMOOD_WORKER_INPUT_SIZE", "7",
         "ROOMMOOD_WORKER_INPUT_SIZE=7: give a whole number from 96 to 3840"),
        (CAMERA, "ROOMMOOD_CAMERA_ROOMM", "den",
         "unknown variable 'ROOMMOOD_CAMERA_ROOMM'; did you mean ROOMMOOD_CAMERA_ROOM?"),
        (["rooms"], "ROOMMOOD_REDIS_URI", "x", "did you mean ROOMMOOD_REDIS_URL?"),
        ([*CAMERA, "--worker", "desk"], "ROOMMOOD_KEYS", "", "--worker: number 1, 'desk':"),
        (["aggregator"], "ROOMMOOD_REDIS_URL", "redis://me:secret@desk",
         "ROOMMOOD_REDIS_URL=***: put the Redis password into a file"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_named_with_its_place(
    words: list[str],
    name: str,
    value: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert message in printed(words, monkeypatch, capsys, **{name: value})


@pytest.mark.parametrize("words", [["keys", "list"], ["models", "list"], ["doctor"], ["demo"]])
def test_a_command_without_settings_refuses_an_unknown_variable_too(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = printed(words, monkeypatch, capsys, ROOMMOOD_KEYZ="x")
    assert "unknown variable 'ROOMMOOD_KEYZ'; did you mean ROOMMOOD_KEYS?" in output


def test_every_command_reads_settings_or_is_known_not_to() -> None:
    commands: Any = get_command(cli.app)
    reading = {
        name
        for name, command in commands.commands.items()
        if any("--config" in param.opts for param in command.params)
    }
    assert commands.commands.keys() - reading == cli.WITHOUT_SETTINGS


def test_all_mistakes_come_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "roommood.toml"
    path.write_text("[worker]\nthreads = 0\nthread = 1\n[camera]\nrotation = 17\n[dashbord]\n")
    words = ["worker", "--config", str(path), "--max-age-ms", "soon"]
    lines = printed(words, monkeypatch, capsys, ROOMMOOD_WORKER_PROCESSES="none").splitlines()
    assert sorted(line.removeprefix("error: ").partition(": ")[0] for line in lines) == [
        "--max-age-ms soon",
        *(f"{path}:{line}" for line in (2, 3, 5, 6)),
        "ROOMMOOD_WORKER_PROCESSES=none",
    ]


def test_what_belongs_to_somebody_else_is_no_setting() -> None:
    environ = {
        "ROOMMOOD_ADDRESS": "192.0.2.1",
        "ROOMMOOD_TEST_PATIENCE_S": "60",
        "ROOMMOOD_AGGREGATOR_SERVICE_HOST": "10.0.0.1",
        "ROOMMOOD_AGGREGATOR_PORT": "tcp://10.0.0.1:5700",
        "ROOMMOOD_AGGREGATOR_PORT_5700_TCP_ADDR": "10.0.0.1",
        "ROOMMOOD_CONFIG": "",
    }
    assert load(TABLES["worker"], None, {}, environ) == load(TABLES["worker"], None, {})


def test_the_number_of_a_webcam_needs_no_quotes(tmp_path: Path) -> None:
    path = tmp_path / "roommood.toml"
    path.write_text("[camera]\nsource = 0\n")
    given = {"name": "a", "room": "b"}
    assert load(CameraSettings, path, given).source == "0"


def test_a_component_without_a_redis_of_its_own_uses_the_one_of_all(tmp_path: Path) -> None:
    path = tmp_path / "roommood.toml"
    path.write_text('[redis]\nurl = "redis://desk/1"\n[mqtt]\nredis_url = "redis://desk/2"\n')
    assert load(MqttSettings, path, {}).redis_url == "redis://desk/2"
    assert load(ExporterSettings, path, {}).redis_url == "redis://desk/1"
