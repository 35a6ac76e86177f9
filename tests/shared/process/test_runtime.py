"""How a component is told to stop, is woken, and speaks of its peers."""

import logging
import re
import select
import signal
import socket
import subprocess
import sys
import threading

import pytest

from roommood.shared.process.runtime import (
    ConnectionLog,
    Deadline,
    Shutdown,
    Waker,
    new_id,
    release,
    shutdown_on_signals,
)

WAITER = """
import select
import signal
from roommood.shared.process.runtime import shutdown_on_signals
with shutdown_on_signals() as shutdown:
    print("ready", flush=True)
    while not shutdown.forced:
        select.select([shutdown.waker.fileno()], [], [], 30)
        shutdown.waker.drain()
        print("requested", shutdown.requested, "forced", shutdown.forced, flush=True)
print("handler", signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, flush=True)
raise SystemExit(shutdown.forced_exit_code)
"""


def is_readable(waker: Waker, timeout_s: float = 0.0) -> bool:
    return bool(select.select([waker.fileno()], [], [], timeout_s)[0])


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_asks_and_a_second_one_forces(number: signal.Signals) -> None:
    child = subprocess.Popen([sys.executable, "-c", WAITER], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        assert child.stdout.readline() == "requested True forced False\n"
        child.send_signal(number)
        rest, _ = child.communicate(timeout=20)
    finally:
        child.kill()
        child.wait()
    assert rest.endswith("handler True\n")
    assert child.returncode == 128 + number


def test_a_terminal_that_closes_asks_and_does_not_force() -> None:
    child = subprocess.Popen([sys.executable, "-c", WAITER], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGHUP)
        assert child.stdout.readline() == "requested True forced False\n"
        child.send_signal(signal.SIGHUP)
        child.send_signal(signal.SIGTERM)
        rest, _ = child.communicate(timeout=20)
    finally:
        child.kill()
        child.wait()
    assert rest.endswith("handler True\n")
    assert child.returncode == 128 + signal.SIGTERM


def test_under_nohup_a_terminal_may_close() -> None:
    code = (
        "import os, signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from roommood.shared.process.runtime import shutdown_on_signals\n"
        "with shutdown_on_signals() as shutdown:\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    raise SystemExit(int(shutdown.requested))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_handlers_come_back_whatever_happens_inside() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def fail_inside() -> None:
        with shutdown_on_signals():
            assert signal.getsignal(signal.SIGTERM) != before
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail_inside()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_request_wakes_the_poll() -> None:
    shutdown = Shutdown()
    assert not is_readable(shutdown.waker)
    shutdown.request()
    assert is_readable(shutdown.waker)
    assert (shutdown.requested, shutdown.forced) == (True, False)
    shutdown.request()
    shutdown.request()
    assert shutdown.forced
    shutdown.waker.close()


# Waking


def test_a_wake_from_another_thread_is_seen() -> None:
    waker = Waker()
    thread = threading.Thread(target=waker.wake)
    thread.start()
    assert is_readable(waker, 10.0)
    thread.join()
    waker.close()


def test_any_number_of_wakes_never_blocks_and_one_drain_takes_them_all() -> None:
    waker = Waker()
    for _ in range(100_000):
        waker.wake()
    waker.drain()
    assert not is_readable(waker)
    waker.drain()
    waker.close()


def test_a_wake_after_the_end_reaches_nobody() -> None:
    """Not even whoever has got the numbers of its sockets since."""
    waker = Waker()
    waker.close()
    near, far = socket.socketpair()
    with near, far:
        waker.wake()
        assert select.select([near, far], [], [], 0)[0] == []


# Peers


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def peers_of(caplog: pytest.LogCaptureFixture, name: str) -> list[object]:
    """A field of all lines that have it."""
    fields = (getattr(record, "fields", {}) for record in caplog.records)
    return [line[name] for line in fields if name in line]


def test_a_peer_is_found_lost_and_back_in_one_line_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    peers = ConnectionLog("worker")
    for _ in range(3):
        peers.back("a")
    for _ in range(3):
        peers.lost("a", "silent")
    for _ in range(3):
        peers.back("a")
    assert messages(caplog) == ["worker found", "worker lost", "worker back"]


def test_another_reason_is_told_soon_and_the_same_each_five_minutes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    peers = ConnectionLog("redis", lambda: now)
    at_s = []
    for second in range(700):
        now, before = float(second), len(caplog.records)
        peers.lost("redis", "refused" if second < 12 else "wrong password")
        at_s += [second] * (len(caplog.records) - before)
    assert at_s == [0, 12, 312, 612]
    assert messages(caplog) == ["redis lost", *["redis still away"] * 3]
    assert peers_of(caplog, "why") == ["refused", *["wrong password"] * 3]
    assert peers_of(caplog, "away_s") == [12, 312, 612]


def test_reasons_that_change_all_the_time_are_told_more_and_more_seldom(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    peers = ConnectionLog("redis", lambda: now)
    for second in range(3_600):
        now = float(second)
        peers.lost("redis", f"try {second}")
    assert len(caplog.records) == 16
    peers.back("redis")
    peers.lost("redis", "anew")
    assert messages(caplog)[-1] == "redis lost"


def test_a_peer_that_never_came_is_lost_once_and_then_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    peers = ConnectionLog("redis")
    peers.lost("redis")
    peers.lost("redis")
    peers.back("redis")
    assert messages(caplog) == ["redis lost", "redis back"]


def test_peers_are_told_apart_and_a_forgotten_one_is_new(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    peers = ConnectionLog("worker")
    peers.back("a")
    peers.lost("b")
    peers.forget("a")
    peers.back("a")
    assert messages(caplog) == ["worker found", "worker lost", "worker found"]


def test_a_peer_that_left_is_told_once_is_not_missed_and_may_come_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    peers = ConnectionLog("worker")
    for _ in range(3):
        peers.left("a")
    peers.lost("a", "silent")
    peers.back("a")
    peers.left("a")
    assert messages(caplog) == ["worker left", "worker found", "worker left"]


# Small things


def test_a_deadline_passes() -> None:
    assert Deadline(0.0).passed
    assert not Deadline(100.0).passed
    assert 99 < Deadline(100.0).left_s <= 100


def test_an_id_is_sixteen_hexadecimal_digits_and_new_each_time() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch("[0-9a-f]{16}", drawn) for drawn in ids)


def test_the_release_is_that_of_the_package() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\+[0-9a-f]{8})?", release())


def test_a_flood_of_new_peers_is_not_a_flood_of_lines(caplog: pytest.LogCaptureFixture) -> None:
    peers = ConnectionLog("camera")
    with caplog.at_level(logging.INFO):
        for number in range(5_000):
            peers.back(f"cam-{number}")
    assert 1_000 <= len(caplog.records) < 2_000


# Descriptors

PEERS = """
import resource
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
import os
from roommood.shared.process.runtime import shutdown_on_signals
def open_all():
    try:
        return len([os.dup(0) for _ in range(200)])
    except OSError:
        return 0
print(open_all())
with shutdown_on_signals():
    print(open_all())
"""


def test_a_component_may_have_more_peers_than_the_customary_limit_of_open_files() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PEERS], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["0", "200"]


AS_MACOS = """
import resource

real, (soft, most) = resource.setrlimit, resource.getrlimit(resource.RLIMIT_NOFILE)

def setrlimit(which, limits):
    if which == resource.RLIMIT_NOFILE and limits[0] > 10_240:
        raise ValueError("current limit exceeds maximum limit")
    real(which, (limits[0], most) if which == resource.RLIMIT_NOFILE else limits)

resource.setrlimit = setrlimit
resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
resource.getrlimit = lambda which: (256, 2**63 - 1)

from roommood.shared.process.runtime import shutdown_on_signals
with shutdown_on_signals():
    import subprocess
    print(subprocess.run(["sh", "-c", "ulimit -Sn"], capture_output=True, text=True).stdout)
"""


def test_where_no_limit_is_refused_as_a_limit_as_macos_does_there_are_many_files_all_the_same() -> (
    None
):
    asked = subprocess.run(
        [sys.executable, "-c", AS_MACOS], capture_output=True, text=True, check=False
    )
    assert (asked.stdout.strip(), asked.stderr) == ("10240", "")
