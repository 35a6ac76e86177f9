"""What the doctor says of the way to a worker and of the frames that arrive there."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from roommood.deploy.doctor.findings import Finding, Level
from roommood.deploy.doctor.network import check_peer, check_rate, describe_link, path_finding
from roommood.shared.process.metrics import Health, Sample, serve
from tests import hooks
from tests.ports import free_port
from tests.redis_server import RedisServer


@contextlib.contextmanager
def peer(*, links: int, says: bytes = b"") -> Iterator[str]:
    """Says this to so many connections; then nobody listens any more."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for left in reversed(range(links)):
            link, _ = server.accept()
            if not left:
                # Before the last one is served: the kernel would let in who comes just then.
                server.close()
            with link, contextlib.suppress(OSError):
                if says:
                    link.recv(64)
                    link.sendall(says)

    thread = threading.Thread(target=serve)
    address = f"127.0.0.1:{server.getsockname()[1]}"
    thread.start()
    yield address
    thread.join(30)
    assert not thread.is_alive(), "fewer connections came than were meant"


def path_to(address: str) -> Finding:
    host, _, port = address.rpartition(":")
    return path_finding("worker", host, int(port), "127.0.0.1")


def of(about: str, findings: Iterator[Finding]) -> Finding:
    return next(finding for finding in findings if finding.about == about)


def test_the_path_to_a_worker_is_named_with_its_connect_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # On a busy machine even loopback may take long; what is slow is another test's matter.
    hooks.the_doctor_takes_a_path_for(monkeypatch)
    with peer(links=5) as address:
        finding = path_to(address)

    assert (finding.level, finding.about) == (Level.OK, "path to worker")
    assert "by lo" in finding.found
    assert "connects in" in finding.found


@pytest.mark.parametrize(("bound", "todo"), [("lost_s", "get lost"), ("slow_s", "late")])
def test_a_slow_path_is_warned_of(bound: str, todo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks.the_doctor_takes_a_path_for(monkeypatch, **{bound: 0.0})
    with peer(links=5) as address:
        finding = path_to(address)

    assert finding.level is Level.WARN
    assert todo in finding.found + finding.todo


def test_a_worker_that_goes_in_between_is_warned_of() -> None:
    with peer(links=1) as address:
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as link:
            assert not link.recv(1)  # nobody listens from now on
        finding = path_to(address)

    assert finding.level is Level.WARN
    assert "reached once" in finding.found


@pytest.mark.parametrize(("signal_dbm", "is_weak"), [(-45, False), (-82, True)])
def test_a_weak_radio_signal_is_told(tmp_path: Path, signal_dbm: int, is_weak: bool) -> None:
    (tmp_path / "sys/class/net/wlan0/wireless").mkdir(parents=True)
    (tmp_path / "proc/net").mkdir(parents=True)
    table = f"Inter-| sta-|\n face | tus |\n wlan0: 0000   50.  {signal_dbm}.  -256  0 0 0 0 0 0\n"
    (tmp_path / "proc/net/wireless").write_text(table)

    assert describe_link("wlan0", tmp_path) == (f"wlan0 (Wi-Fi, {signal_dbm} dBm)", is_weak)


def test_the_speed_of_a_cable_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "sys/class/net/eth0"
    folder.mkdir(parents=True)
    assert describe_link("eth0", tmp_path) == ("eth0", False)
    (folder / "speed").write_text("100\n")
    assert describe_link("eth0", tmp_path) == ("eth0 (100 Mbit/s)", False)


@contextlib.contextmanager
def camera_metrics(sent_each_time: int) -> Iterator[int]:
    """The metrics of a camera that got so many more frames to its worker at each look."""
    counts = {"sent": 0}

    def samples() -> Iterator[Sample]:
        counts["sent"] += sent_each_time
        yield Sample("roommood_camera_info", "Which.", 1, {"camera": "a", "room": "b"})
        yield Sample("roommood_camera_frames_sent_total", "Sent.", counts["sent"])
        yield Sample("roommood_camera_capture_rate_hertz", "Captured.", 10.0)

    port = free_port()
    stop = serve("127.0.0.1", port, Health("camera"), samples)
    try:
        yield port
    finally:
        stop()


@pytest.mark.parametrize(("sent", "level"), [(5, Level.OK), (0, Level.WARN)])
def test_the_frames_that_arrive_are_counted_where_a_camera_node_runs(
    sent: int, level: Level
) -> None:
    with camera_metrics(sent) as port:
        finding = of("frames to worker", check_rate(port, 0.1))

    assert finding.level is level
    assert "of 10.0 captured" in finding.found


def test_without_a_camera_node_there_is_no_rate_to_tell() -> None:
    assert of("frames to worker", check_rate(free_port(), 0.1)).level is Level.SKIPPED


@pytest.mark.parametrize("kind", ["worker", "aggregator"])
def test_a_name_that_is_unknown_and_a_port_where_nobody_listens_are_told_apart(kind: str) -> None:
    (unknown,) = check_peer(kind, "desk.invalid:5701")
    assert unknown.level is Level.FAIL
    assert "desk.invalid" in unknown.found
    assert "nothing listens" not in unknown.found
    (refused,) = check_peer(kind, f"localhost:{(port := free_port())}")
    assert f"refused: nothing listens at 127.0.0.1:{port}" in refused.found
    assert f"[::1]:{port}" in refused.found


def test_a_port_is_found_at_the_second_address_of_its_name() -> None:
    with peer(links=1, says=b"SSH-2.0-OpenSSH_9.2\r\n") as address:
        port = address.rpartition(":")[2]
        finding = of("worker", check_peer("worker", f"localhost:{port}"))
    assert f"127.0.0.1:{port}) answers" in finding.found


@contextlib.contextmanager
def silent() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@contextlib.contextmanager
def resetting() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reset() -> None:
            link, _ = server.accept()
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            link.close()

        threading.Thread(target=reset, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


@contextlib.contextmanager
def a_redis() -> Iterator[str]:
    port = free_port()
    with RedisServer(port=str(port)):
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def metrics() -> Iterator[str]:
    with camera_metrics(1) as port:
        yield f"127.0.0.1:{port}"


NO_ZEROMQ = "answers, but does not speak ZeroMQ"


@pytest.mark.parametrize(
    ("program", "finds"),
    [
        (silent, "accepts connections, and says nothing"),
        (resetting, NO_ZEROMQ),
        (a_redis, f"{NO_ZEROMQ} (it is Redis)"),
        (metrics, f"{NO_ZEROMQ} (it is a web server)"),
        (lambda: peer(links=1, says=b"SSH-2.0-OpenSSH"), f"{NO_ZEROMQ} (it is an ssh server)"),
    ],
    ids=["silent", "resetting", "redis", "metrics", "ssh"],
)
def test_another_program_at_the_port_is_told_as_that(
    program: Callable[[], contextlib.AbstractContextManager[str]], finds: str
) -> None:
    with program() as address:
        finding = of("worker", check_peer("worker", address))
    assert finding.level is Level.FAIL
    assert finding.found == f"{address} {finds}"


def test_what_speaks_zeromq_and_is_no_roommood_is_not_taken_for_a_worker() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(zmq.ROUTER) as stranger:
        port = stranger.bind_to_random_port("tcp://127.0.0.1")
        finding = of("worker", check_peer("worker", f"127.0.0.1:{port}"))
    assert finding.level is Level.FAIL
    assert "does not answer as it should" in finding.found
