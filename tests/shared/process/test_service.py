"""What a service manager hears, heard on a real datagram socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from roommood.shared.errors import ConfigError
from roommood.shared.process.metrics import Health
from roommood.shared.process.service import ServiceManager


def mailbox(path: str) -> socket.socket:
    inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    inbox.bind(path)
    inbox.setblocking(False)
    return inbox


@pytest.fixture
def box(tmp_path: Path) -> Iterator[socket.socket]:
    with mailbox(str(tmp_path / "notify")) as inbox:
        yield inbox


def heard(box: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(box.recv(4096).decode())
        except BlockingIOError:
            return messages


def named(box: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": box.getsockname(), **more}


def test_the_first_turn_says_that_the_start_is_over(box: socket.socket) -> None:
    manager = ServiceManager(named(box))
    assert heard(box) == []
    manager.turning("ready")
    manager.turning("ready")
    assert heard(box) == ["READY=1\nSTATUS=ready"]


def test_a_turning_loop_keeps_its_watchdog_quiet(box: socket.socket) -> None:
    manager = ServiceManager(named(box, WATCHDOG_USEC="3", WATCHDOG_PID=str(os.getpid())))
    manager.turning("ready")
    manager.turning("ready")
    assert heard(box) == ["READY=1\nSTATUS=ready\nWATCHDOG=1", "WATCHDOG=1"]


def test_a_word_is_said_a_third_of_the_time_before_the_watchdog_bites(box: socket.socket) -> None:
    manager = ServiceManager(named(box, WATCHDOG_USEC=str(3_600_000_000)))
    for _ in range(5):
        manager.turning("ready")
    assert "\n".join(heard(box)).count("WATCHDOG=1") == 1


def test_a_watchdog_meant_for_another_process_is_not_answered(box: socket.socket) -> None:
    manager = ServiceManager(named(box, WATCHDOG_USEC="3", WATCHDOG_PID="1"))
    manager.turning("ready")
    assert "WATCHDOG" not in heard(box)[0]


def test_a_change_of_status_is_told_once(box: socket.socket) -> None:
    manager = ServiceManager(named(box))
    for status in ("not ready", "not ready", "ready", "ready"):
        manager.turning(status)
    assert heard(box) == ["READY=1\nSTATUS=not ready", "STATUS=ready"]


def test_a_drain_is_told(box: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", box.getsockname())
    health = Health("worker")
    health.ready = True
    health.tick()
    health.draining()
    assert not health.ready
    assert heard(box) == ["READY=1\nSTATUS=ready", "STOPPING=1\nSTATUS=draining"]


def test_a_name_in_the_abstract_space_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mailbox:
        name = f"roommood-test-{os.getpid()}"
        mailbox.bind(f"\0{name}")
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).turning("ready")
        mailbox.settimeout(10)
        assert mailbox.recv(4096).startswith(b"READY=1")


def test_whoever_did_not_ask_hears_nothing(box: socket.socket) -> None:
    manager = ServiceManager({})
    manager.turning("ready")
    manager.stopping()
    assert heard(box) == []


def test_a_manager_that_is_gone_does_not_stop_the_work_and_hears_all_once_back(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "notify")
    with mailbox(path) as first:
        manager = ServiceManager({"NOTIFY_SOCKET": path})
        manager.turning("ready")
        assert heard(first) == ["READY=1\nSTATUS=ready"]
    Path(path).unlink()
    manager.turning("not ready")
    with mailbox(path) as second:
        manager.turning("not ready")
        manager.stopping()
        assert heard(second) == ["STATUS=not ready", "STOPPING=1\nSTATUS=draining"]


def test_a_manager_that_was_away_at_first_still_hears_of_the_start(tmp_path: Path) -> None:
    path = tmp_path / "late"
    manager = ServiceManager({"NOTIFY_SOCKET": str(path)})
    manager.turning("ready")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mailbox:
        mailbox.bind(str(path))
        mailbox.settimeout(10)
        manager.turning("ready")
        assert mailbox.recv(4096).startswith(b"READY=1")


@pytest.mark.parametrize(
    "environment",
    [{"NOTIFY_SOCKET": "relative"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "-1"}],
)
def test_variables_that_make_no_sense_are_an_error(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(environment))):
        ServiceManager(environment)
