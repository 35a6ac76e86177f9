from pathlib import Path

import pytest

from roommood.deploy.doctor.findings import Level
from roommood.deploy.doctor.wifi import wifi_findings


@pytest.fixture
def interfaces(tmp_path: Path) -> Path:
    """As /sys/class/net shows them: Wi-Fi that is up, Wi-Fi that is down, and a cable."""
    for name, state, is_wireless in (("wlan0", "up", 1), ("wlan1", "down", 1), ("eth0", "up", 0)):
        folder = tmp_path / "net" / name
        (folder / ("phy80211" if is_wireless else "device")).mkdir(parents=True)
        (folder / "operstate").write_text(f"{state}\n")
    return tmp_path / "net"


def answering(folder: Path, monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    """An iw that gives this answer, whatever it is asked."""
    (folder / "iw").write_text(f"#!/bin/sh\necho '{message}'\n")
    (folder / "iw").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("message", "level", "finding_text"),
    [
        ("Power save: on", Level.WARN, "wlan0 saves power: 50 to 130 ms"),
        ("Power save: off", Level.OK, "wlan0 does not save power"),
        ("command failed: No such device (-19)", Level.SKIPPED, "not known: command failed"),
    ],
)
def test_wifi_that_saves_power_is_told_with_what_ends_it(
    interfaces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    message: str, level: Level, finding_text: str,
) -> None:  # fmt: skip
    answering(tmp_path, monkeypatch, message)
    (finding,) = wifi_findings(interfaces)
    assert finding.level is level
    assert finding_text in finding.found
    assert ("iw dev wlan0 set power_save off" in finding.todo) == (level is Level.WARN)


def test_a_machine_without_wifi_is_told_nothing(tmp_path: Path) -> None:
    assert list(wifi_findings(tmp_path)) == []
