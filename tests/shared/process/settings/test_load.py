"""Settings: defaults, then the file, then what was given; and every mistake is named."""

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from roommood.shared.errors import ConfigError
from roommood.shared.process.settings import (
    DEFAULT_FRAMES_ADDRESS,
    AggregatorSettings,
    CameraSettings,
    WorkerSettings,
    load,
)

GIVEN = {"name": "door", "room": "kitchen"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "roommood.toml"


def refusal(model: Any, file: Path, text: str, given: dict[str, Any] | None = None) -> str:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(model, file, given or {})
    return str(caught.value)


def test_a_file_as_windows_writes_it_is_read(file: Path) -> None:
    file.write_bytes('\ufeff[camera]\r\nname = "door"\r\nroom = "kitchen"\r\n'.encode())
    assert load(CameraSettings, file, {}).name == "door"


def test_without_a_file_the_defaults_hold() -> None:
    settings = load(CameraSettings, None, GIVEN)
    assert (settings.known_workers, settings.jpeg_quality) == ([DEFAULT_FRAMES_ADDRESS], 80)


def test_the_file_wins_over_the_defaults_and_what_is_given_over_the_file(file: Path) -> None:
    file.write_text('[worker]\nthreads = 3\nmax_age_ms = 500\n[camera]\nname = "a"\n')
    settings = load(WorkerSettings, file, {"threads": 5, "input_size": None})
    assert (settings.threads, settings.max_age_ms, settings.input_size) == (5, 500.0, 640)


def test_a_file_without_the_table_of_this_component_is_fine(file: Path) -> None:
    file.write_text('[camera]\nname = "door"\n')
    assert load(AggregatorSettings, file, {}).min_people == 1


def test_settings_do_not_change() -> None:
    settings: Any = load(WorkerSettings, None, {})
    with pytest.raises(FrozenInstanceError):
        settings.threads = 4


def test_an_unknown_key_is_named_with_file_line_and_the_nearest_key(file: Path) -> None:
    text = "# site\n[worker]\nthreads = 2\n\nmax_agems = 9\n"
    assert refusal(WorkerSettings, file, text) == (
        f"{file}:5: unknown key 'max_agems'; did you mean 'max_age_ms'?"
    )


def test_an_unknown_key_unlike_any_other_lists_what_is_known(file: Path) -> None:
    assert "known are advertise, " in refusal(WorkerSettings, file, "[worker]\nxyzzy = 1\n")


def test_the_line_is_that_of_the_right_table(file: Path) -> None:
    text = '[camera]\nname = "a"\n[aggregator]\nmin_people = 2\n[worker]\nthreads = 99\n'
    assert refusal(WorkerSettings, file, text).startswith(f"{file}:6: threads = 99: ")


def test_an_unknown_table_is_named_with_line_and_the_nearest_table(file: Path) -> None:
    text = "[camera]\n[wroker]\nthreads = 1\n"
    assert refusal(WorkerSettings, file, text) == (
        f"{file}:2: unknown table 'wroker'; did you mean 'worker'?"
    )


def test_a_key_outside_every_table_is_refused(file: Path) -> None:
    assert ":1: unknown table 'threads'" in refusal(WorkerSettings, file, "threads = 1\n")


def test_a_component_that_is_no_table_is_refused(file: Path) -> None:
    assert "write [worker]" in refusal(WorkerSettings, file, "worker = 3\n")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('threads = "many"', "threads = 'many'"),
        ("threads = 0", "threads = 0"),
        ("threads = 65", "threads = 65"),
        ("threads = [1]", "threads = [1]"),
        ("max_age_ms = nan", "max_age_ms = nan"),
        ("max_age_ms = inf", "max_age_ms = inf"),
        ("bind = 5", "bind = 5"),
        ('bind = "desk"', "is not an address"),
        ("aggregators = []", "aggregators = []"),
        ('aggregators = ["desk:1", "x"]', "number 2, 'x': "),
        ('log_format = "xml"', "log_format = 'xml'"),
        ("metrics_port = 65536", "metrics_port = 65536"),
        ("drain_s = -1", "drain_s = -1"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(file: Path, line: str, named: str) -> None:
    message = refusal(WorkerSettings, file, f"[worker]\n{line}\n")
    assert message.startswith(f"{file}:2: ")
    assert named in message


def test_a_wrong_value_that_was_given_is_named_as_its_option(file: Path) -> None:
    message = refusal(WorkerSettings, file, "[worker]\nthreads = 2\n", {"threads": 99})
    assert message.startswith("--threads 99: ")


def test_every_mistake_is_told_at_once(file: Path) -> None:
    message = refusal(WorkerSettings, file, "[worker]\nthreads = 0\nxyzzy = 1\n")
    assert len(message.splitlines()) == 2


def test_a_needed_setting_says_how_to_give_it(file: Path) -> None:
    message = refusal(CameraSettings, file, '[camera]\nname = "door"\n')
    assert message == (
        "--room is needed: give it, set ROOMMOOD_CAMERA_ROOM, or set room under [camera] in a "
        "settings file"
    )


def test_a_bad_room_name_is_refused_in_our_own_words(file: Path) -> None:
    message = refusal(CameraSettings, file, '[camera]\nname = "a"\nroom = "Big Hall"\n')
    assert message.startswith(f"{file}:3: room = 'Big Hall': 'Big Hall' is not a room name")
    assert "for example 'big-hall'" in message


@pytest.mark.parametrize("polygon", ["[[0,0],[1,0]]", "[[0,0],[1,0],[2,0]]", "[[0],[1],[0]]"])
def test_a_mask_is_a_polygon_within_the_picture(file: Path, polygon: str) -> None:
    text = f'[camera]\nname = "a"\nroom = "b"\nmasks = [{polygon}]\n'
    assert refusal(CameraSettings, file, text).startswith(f"{file}:4: masks")


def test_bad_toml_is_named_with_its_line(file: Path) -> None:
    message = refusal(WorkerSettings, file, "[worker]\nthreads = = 1\n")
    assert str(file) in message
    assert "line 2" in message


def test_a_file_that_cannot_be_read_is_named(file: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the settings file"):
        load(WorkerSettings, file, {})
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot read the settings file"):
        load(WorkerSettings, file, {})


@pytest.mark.parametrize(
    "url",
    [
        "redis://:secret@desk:6379/0",
        "redis://user:secret@desk/0",
        "rediss://u:s@desk",
        "unix://u:s@/run/redis.sock",
        "redis://desk/0?password=secret",
        "redis://desk/0?db=1&password=secret",
    ],
)
def test_a_password_in_the_url_is_refused(file: Path, url: str) -> None:
    message = refusal(AggregatorSettings, file, f'[aggregator]\nredis_url = "{url}"\n')
    assert "redis_password_file" in message
    assert "secret" not in message


@pytest.mark.parametrize("url", ["redis://desk:6379/0", "redis://user@desk/0", "unix:///r.sock"])
def test_a_url_without_a_password_is_taken(url: str) -> None:
    assert load(AggregatorSettings, None, {"redis_url": url}).redis_url == url


def test_masks_and_quiet_hours_add_up_wherever_they_are_given(file: Path) -> None:
    file.write_text(
        '[camera]\nmasks = [[[0, 0], [0.5, 0], [0.5, 1]]]\nquiet_hours = ["22:00-06:30"]\n'
    )
    environ = {"ROOMMOOD_CAMERA_QUIET_HOURS": '["sat 00:00-24:00"]'}
    given = {**GIVEN, "masks": ["[[0.6, 0], [1, 0], [1, 1]]"], "quiet_hours": ["12:00-13:00"]}
    settings = load(CameraSettings, file, given, environ)
    assert settings.quiet_hours == ("12:00-13:00", "sat 00:00-24:00", "22:00-06:30")
    assert len(settings.masks) == 2
    assert ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0)) in settings.masks
    assert load(CameraSettings, None, GIVEN).masks == ()
    with pytest.raises(ConfigError, match="ROOMMOOD_CAMERA_MASKS"):
        load(CameraSettings, file, given, {"ROOMMOOD_CAMERA_MASKS": "[[1]]"})
