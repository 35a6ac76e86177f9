"""Names that would do harm in a key, a label, a log or a terminal get no further than the edge."""

import json
import logging
import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from prometheus_client.parser import text_string_to_metric_families

from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.keys import RESOLUTIONS
from roommood.shared.errors import BadName, ConfigError, DecodeError
from roommood.shared.process import logs
from roommood.shared.process.command import run_app
from roommood.shared.process.logs import event
from roommood.shared.process.metrics import Sample, render
from roommood.shared.process.settings import CameraSettings, load
from roommood.shared.protocol import wire
from roommood.shared.protocol.messages import Report, TicketedResult
from roommood.shared.protocol.names import is_name, parse_camera, parse_room
from tests.shared import made
from tests.shared.wire_examples import holder, packed, places, unpacked

BAD = {
    "empty": "",
    "65 characters": "a" * 65,
    "64 characters": "a" * 64,
    "separator": "a:b",
    "hash tag": "{x}",
    "half a hash tag": "a}",
    "path": "../x",
    "absolute path": "/etc/passwd",
    "zero": "a\0b",
    "new line": "a\nb",
    "last new line": "a\n",
    "bell": "a\a",
    "escape": "\x1b[2J\x1b]0;owned\x07",
    "C1 control": "a\x9b31m",
    "right to left": "a\u202egnp.exe",
    "isolate": "a\u2066b",
    "zero width": "a\u200bb",
    "look-alike": "kit\u0441hen",
    "script": "<script>alert(1)</script>",
    "markup": "[red]a[/red]",
    "glob": "*",
    "one of any": "a?c",
    "class": "[a-z]",
    "quote": 'a"b',
    "label": 'a",x="1',
    "format": "%s%n",
    "option": "--help",
    "dollar": "$(id)",
    "surrogate": "\ud800",
    "upper case": "Kitchen",
    "full width": "\uff41",
}
EVERY_BAD = pytest.mark.parametrize("name", BAD.values(), ids=BAD)


def is_safe_on_a_terminal(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


@EVERY_BAD
def test_a_bad_name_is_refused_in_words_that_are_safe_to_print(name: str) -> None:
    assert not is_name(name)
    for parse in (parse_room, parse_camera):
        with pytest.raises(BadName) as refused:
            parse(name)
        assert is_safe_on_a_terminal(str(refused.value))
        assert len(str(refused.value)) < 800


def name_places() -> list[tuple[str, tuple[Any, ...]]]:
    """Every field of every message whose value must be a name."""
    good = {"door", "kitchen", "b00t", "worker", "net-1", "agg"}
    results = []
    for kind in ("hello", "credit", "frame", "report", "ack"):
        value = unpacked(kind)
        for place in places(value):
            value_there = holder(value, place)[place[-1]]
            if isinstance(value_there, str) and value_there in good and place[0] != "paused_rooms":
                results.append((kind, place))
    return [*results, *(("report", ("results", 0, n)) for n in (2, 3, 4, 7))]


def holds_text(name: str) -> bool:
    try:
        msgpack.packb(name)
    except UnicodeEncodeError:
        return False
    return True


@EVERY_BAD
def test_a_bad_name_in_any_message_is_refused(name: str) -> None:
    from tests.shared.wire_examples import KINDS

    if not holds_text(name):
        pytest.skip("msgpack carries no surrogates")
    assert len(name_places()) >= 17
    for kind, place in name_places():
        value = unpacked(kind)
        holder(value, place)[place[-1]] = name
        with pytest.raises(DecodeError) as refused:
            KINDS[kind][1](packed(kind, value))
        assert is_safe_on_a_terminal(str(refused.value)), place


def test_a_longest_name_passes_and_one_more_character_does_not() -> None:
    for length, good in ((62, True), (63, True), (64, False)):
        value = unpacked("hello") | {"camera": "a" * length}
        if good:
            assert wire.decode_hello(packed("hello", value)).camera == "a" * length
        else:
            with pytest.raises(DecodeError):
                wire.decode_hello(packed("hello", value))


@EVERY_BAD
@pytest.mark.parametrize("field", ["name", "room"])
def test_a_bad_name_in_the_settings_is_refused(name: str, field: str, tmp_path: Path) -> None:
    given = {"name": "cam", "room": "den", "source": "0"} | {field: name}
    with pytest.raises(ConfigError) as refused:
        load(CameraSettings, None, given)
    assert is_safe_on_a_terminal(str(refused.value))


@pytest.mark.parametrize(
    ("name", "command"),
    list(zip(BAD.values(), cycle(["forget", "pause", "resume", "stats"]), strict=False)),
    ids=BAD,
)
def test_a_bad_name_on_the_command_line_is_refused(
    name: str,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from roommood.deploy.cli import app

    nowhere = ["--redis", "redis://127.0.0.1:1/0"]
    if "\ud800" in name:
        name = "\udc80"  # what a byte that is no UTF-8 becomes on a command line
    arguments = ["roommood", command, *nowhere, "--", name]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        run_app(app)
    output = "".join(capsys.readouterr())
    assert ended.value.code == 2, output
    assert "Traceback" not in output
    assert "\x1b[2J" not in output
    assert "\u202e" not in output


def logged(log_format: str, write: Callable[[logging.Logger], None], capsys: Any) -> str:
    logs.setup(log_format, "debug", "test")
    write(logging.getLogger("hostile"))
    return str(capsys.readouterr().err)


@EVERY_BAD
def test_whatever_a_peer_says_is_one_harmless_line_in_the_log(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(logger: logging.Logger) -> None:
        event(logger, logging.WARNING, f"heard of {name}", camera=name)

    text = logged("text", write, capsys)
    assert text.count("\n") == 1
    assert is_safe_on_a_terminal(text)
    line = logged("json", write, capsys)
    assert line.count("\n") == 1
    assert is_safe_on_a_terminal(line)
    assert json.loads(line)["camera"] == name


@EVERY_BAD
def test_whatever_becomes_a_label_stays_one_label(name: str) -> None:
    if not holds_text(name):
        pytest.skip("no message carries it")
    samples = [
        Sample("roommood_x_total", "Help.", 1, {"reason": name}),
        Sample("roommood_y", "H.", 2),
    ]
    families = list(text_string_to_metric_families(render(samples).decode()))
    (sample,) = next(family for family in families if family.name == "roommood_x").samples
    assert sample.labels == {"reason": name}
    assert [family.name for family in families] == ["roommood_x", "roommood_y"]


@given(made.names, made.names, made.names)
def test_a_good_name_spells_one_key_with_one_hash_tag(room: str, camera: str, boot: str) -> None:
    for key in (
        redis_keys.live(room),
        redis_keys.forgotten(room),
        redis_keys.bucket(room, RESOLUTIONS[0], 0),
        redis_keys.seen(room, camera, boot, 5000),
    ):
        assert key.startswith(f"roommood:{{{room}}}:")
        assert key.count("{") == key.count("}") == 1
        assert not set(key) & set("*?[]\\ \n\0")
    assert redis_keys.seen(room, camera, boot, 0).count(":") == 5


def test_what_a_peer_may_say_freely_is_printable() -> None:
    """A release, an address and a source are texts: no control character gets through."""
    for name in ("\x1b[2J", "a\u202eb", "a\nb", "a\0", "\x9b"):
        for change in (
            {"release": name},
            {"health": unpacked("hello")["health"] | {"source": name}},
        ):
            with pytest.raises(DecodeError, match="printable"):
                wire.decode_hello(packed("hello", unpacked("hello") | change))
        with pytest.raises(DecodeError, match="printable"):
            wire.decode_report(packed("report", unpacked("report") | {"address": name}))


def test_results_keep_the_names_that_they_came_with() -> None:
    report = Report("w", "", 0.0, results=(TicketedResult(0, 0.0, made.result()),))
    assert wire.decode_report(wire.encode_report(report)).results[0].result.room == "kitchen"
