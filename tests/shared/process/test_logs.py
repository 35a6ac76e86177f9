"""One line a fact, for people or machines, and nothing that a peer sent acts on a terminal."""

import json
import logging
from collections.abc import Iterator

import pytest

from roommood.shared.process import logs

_log = logging.getLogger("tests.logs")
HOSTILE = "\x1b[2J\x1b]0;title\x07 two\nlines\r\x00\u202e"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def line_of(capsys: pytest.CaptureFixture[str], text: str, **fields: object) -> str:
    logs.event(_log, logging.INFO, text, **fields)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("\n")
    assert captured.err.count("\n") == 1
    return captured.err[:-1]


def test_text_is_one_line_with_time_level_component_and_facts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.setup("text", "info", "worker")
    line = line_of(capsys, "worker ready", threads=2, age_ms=1.23456, bind="a b", none="")
    time, rest = line.split(" ", 1)
    assert time.endswith("Z")
    assert rest == 'INFO    worker: worker ready threads=2 age_ms=1.235 bind="a b" none=""'


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("json", "info", "worker")
    line = json.loads(line_of(capsys, HOSTILE, why=HOSTILE, threads=2))
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "component": "worker",
        "message": HOSTILE,
        "why": HOSTILE,
        "threads": 2,
    }


def test_control_characters_are_made_harmless_in_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("text", "info", "worker")
    line = line_of(capsys, HOSTILE, why=HOSTILE, x=b"\x1b")
    assert line.isprintable()
    assert "\\x1b[2J" in line


def failed(text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        _log.exception("analysis failed")


def test_control_characters_of_an_exception_are_made_harmless_in_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.setup("text", "info", "worker")
    failed(HOSTILE)
    lines = capsys.readouterr().err.split("\n")
    assert lines[1].startswith("Traceback")
    assert all(line.isprintable() for line in lines)


def test_an_exception_is_a_field_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("json", "info", "worker")
    failed("broken")
    line = json.loads(capsys.readouterr().err)
    assert line["exception"].endswith("ValueError: broken")


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("text", "warning", "worker")
    logs.event(_log, logging.INFO, "not this")
    assert capsys.readouterr().err == ""


def test_a_value_that_json_does_not_know_is_told_as_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.setup("json", "info", "worker")
    assert json.loads(line_of(capsys, "x", data=b"ab"))["data"] == "b'ab'"


def test_complaints_that_a_peer_causes_are_held_back_after_a_burst(
    caplog: pytest.LogCaptureFixture,
) -> None:
    complaints = logs.RateLimitedLog(logging.getLogger("peer"))
    for number in range(100):
        complaints.event("message refused", number=number)
    assert len(caplog.records) == 5


def test_so_are_tracebacks_of_what_fails_again_and_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures = logs.RateLimitedLog(logging.getLogger("peer"))
    for _ in range(100):
        failures.exception("analysis failed", ValueError("no"))
    assert len(caplog.records) == 5
    assert caplog.records[0].exc_info is not None
