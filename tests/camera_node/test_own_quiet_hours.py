"""A camera's own quiet hours, by a clock that may not be set yet."""

import logging
import time
from pathlib import Path

import pytest

from roommood.camera_node.own_quiet_hours import OwnQuietHours
from roommood.shared.clock_kept import is_clock_kept
from roommood.shared.errors import ConfigError

MINUTE_MS = 60_000.0
ALL_DAY = "00:00-24:00"


class Machine:
    """Its clock, and how long it is up."""

    def __init__(self, *, kept: bool | None, up_min: float = 1.0) -> None:
        self.kept, self.up_min = kept, up_min

    def hours(self, *spans: str) -> OwnQuietHours:
        return OwnQuietHours(spans, lambda: self.kept, lambda: self.up_min * MINUTE_MS)


@pytest.mark.parametrize("kept", [True, None])
def test_by_a_clock_that_is_kept_or_may_be_the_hours_hold_as_they_are_written(
    kept: bool | None,
) -> None:
    assert Machine(kept=kept).hours(ALL_DAY).hold()
    assert not Machine(kept=kept).hours().hold()


def test_it_is_closed_until_the_clock_is_set_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine = Machine(kept=False)
    hours = machine.hours()
    assert hours.hold()
    assert hours.hold()
    assert [record.getMessage() for record in caplog.records] == [
        "closed until the clock is set: it has quiet hours"
    ]
    machine.kept = True
    assert not hours.hold()
    machine.kept = False  # as chrony says while a network is away: it goes on all the same
    assert not hours.hold()


def test_where_nobody_sets_it_the_hours_hold_by_it_after_a_while_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    machine = Machine(kept=False, up_min=9)
    hours, at_night = machine.hours(), machine.hours(ALL_DAY)
    assert hours.hold()
    machine.up_min = 11
    assert not hours.hold()
    assert at_night.hold()
    assert "nobody sets this machine's clock" in caplog.text
    assert "roommood quiet" in str([vars(record) for record in caplog.records])


def test_the_kernel_is_asked_and_nothing_is_changed() -> None:
    before = time.time()
    assert is_clock_kept() in (True, False, None)
    assert abs(time.time() - before) < 5


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", ":Asia/Kolkata", "CET-1CEST,M3.5.0,M10.5.0/3", ""]
)
def test_a_zone_that_the_clock_knows_will_do(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    Machine(kept=True).hours(ALL_DAY)


def test_a_zone_that_the_clock_does_not_know_is_refused_where_hours_go_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berln")
    with pytest.raises(ConfigError, match="did you mean Europe/Berlin"):
        Machine(kept=True).hours("22:00-06:30")
    Machine(kept=True).hours()
    monkeypatch.setenv("TZDIR", str(tmp_path))
    monkeypatch.setenv("TZ", "Europe/Berlin")
    with pytest.raises(ConfigError, match="apt install tzdata"):
        Machine(kept=True).hours("22:00-06:30")
    monkeypatch.setenv("TZ", "UTC")
    Machine(kept=True).hours("22:00-06:30")
