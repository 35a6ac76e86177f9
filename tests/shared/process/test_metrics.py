"""What an operator's tools ask over HTTP, asked over real HTTP."""

import contextlib
import json
import re
import select
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from roommood.shared.errors import ConfigError
from roommood.shared.process.metrics import Health, Sample, render, serve
from tests.needs import missing
from tests.ports import free_port

SAMPLES = [
    Sample("roommood_frames_total", "Frames.", 3, {"outcome": "analysed"}),
    Sample("roommood_frames_total", "Frames.", 1, {"outcome": 'odd "one"\n'}),
    Sample("roommood_threads", "Threads.", 2),
]


class Server:
    def __init__(self) -> None:
        self.port = free_port()
        self.health = Health("worker")
        self.stop: Callable[[], None] = serve("127.0.0.1", self.port, self.health, lambda: SAMPLES)

    def get(self, path: str) -> tuple[int, str, str]:
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["Content-Type"], error.read().decode()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


def stall(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.monotonic() + 11.0
    monkeypatch.setattr("roommood.shared.process.metrics.time.monotonic", lambda: later)


def test_a_turning_loop_is_healthy_before_it_is_ready(server: Server) -> None:
    status, kind, body = server.get("/healthz")
    assert (status, kind) == (200, "application/json")
    assert json.loads(body) == {"component": "worker", "live": True, "ready": False}
    assert server.get("/readyz")[0] == 503


def test_a_component_that_does_its_work_is_ready(server: Server) -> None:
    server.health.ready = True
    server.health.detail = {"workers": 2}
    status, _, body = server.get("/readyz")
    assert status == 200
    assert json.loads(body)["workers"] == 2


def test_a_loop_that_stands_still_is_neither(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.health.ready = True
    stall(server, monkeypatch)
    assert server.get("/healthz")[0] == 503
    assert server.get("/readyz")[0] == 503
    server.health.tick()
    assert server.get("/healthz")[0] == 200


def test_facts_are_prometheus_text_in_families(server: Server) -> None:
    status, kind, body = server.get("/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=0.0.4")
    assert body.count("# TYPE roommood_frames_total counter") == 1
    assert 'roommood_frames_total{outcome="analysed"} 3.0\n' in body
    assert r'roommood_frames_total{outcome="odd \"one\"\n"} 1.0' in body
    assert "# TYPE roommood_threads gauge" in body
    assert re.search(r"^roommood_threads 2\.0$", body, re.MULTILINE)


@pytest.mark.parametrize("path", ["/", "/metrics/", "/../etc/passwd", "/favicon.ico"])
def test_anything_else_is_not_found_and_says_what_is(server: Server, path: str) -> None:
    status, _, body = server.get(path)
    assert status == 404
    assert "/metrics" in body


@pytest.mark.parametrize("most", [64, 1_000])
def test_for_one_request_too_many_the_oldest_is_cut(
    server: Server, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """With room for all of them the first stays open, which is the control."""
    monkeypatch.setattr("roommood.shared.process.metrics.MOST_REQUESTS", most)
    address = ("127.0.0.1", server.port)
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(address)) for _ in range(64)]
        assert server.get("/healthz")[0] == 200
        is_cut = bool(select.select([silent[0]], [], [], 10 if most == 64 else 0.2)[0])
        assert is_cut == (most == 64)
        assert not select.select(silent[8:], [], [], 0)[0]


def test_a_query_and_a_question_for_the_head_alone_are_answered(server: Server) -> None:
    server.health.ready = True
    assert "roommood_live" in server.get("/metrics?collect%5B%5D=rooms")[2]
    question = urllib.request.Request(f"http://127.0.0.1:{server.port}/readyz", method="HEAD")
    with urllib.request.urlopen(question, timeout=10) as answer:
        assert (answer.status, answer.read()) == (200, b"")
        assert int(answer.headers["Content-Length"]) > 0


def test_metrics_that_cannot_be_told_are_an_error_for_who_scrapes_and_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counts = {"kitchen": 1}

    def samples() -> Iterator[Sample]:
        for room, people in counts.items():
            yield Sample("roommood_people", "People.", people, {"room": room})
            counts["hall"] = 0  # as another thread may do meanwhile

    port = free_port()
    stop = serve("127.0.0.1", port, Health("test"), samples)
    try:
        with pytest.raises(urllib.error.HTTPError, match="500"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)
    finally:
        stop()
    assert "metrics failed" in caplog.text


def test_counters_gauges_and_quantiles_are_told_as_promtool_wants_them() -> None:
    samples = [
        Sample("roommood_frames_total", "Frames.", 3, {"reason": "", "outcome": "analysed"}),
        Sample("roommood_people", "Faces at once.", 1.5, {"room": "den"}),
        Sample("roommood_age_seconds", "Age.", 0.25, {"quantile": "0.5"}),
        Sample("roommood_age_seconds", "Age.", 0.5, {"quantile": "1"}),
    ]
    text = render(samples).decode()
    assert re.findall(r"# TYPE (\S+) (\S+)", text) == [
        ("roommood_frames_total", "counter"),
        ("roommood_people", "gauge"),
        ("roommood_age_seconds", "summary"),
    ]
    assert 'roommood_frames_total{outcome="analysed",reason=""} 3.0' in text
    assert 'roommood_age_seconds{quantile="1"} 0.5' in text
    if (tool := shutil.which("promtool")) is None:
        missing("no promtool: install the package prometheus")
    done = subprocess.run(
        [tool, "check", "metrics"],
        input=text, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_nothing_is_text_too() -> None:
    assert render([]) == b""


def test_a_taken_port_is_an_error_that_names_it(server: Server) -> None:
    with pytest.raises(ConfigError, match=f"127.0.0.1:{server.port}"):
        serve("127.0.0.1", server.port, server.health, list)


@pytest.mark.parametrize("host", ["desk..lan", "x" * 64 + ".lan", "nowhere.invalid"])
def test_a_host_that_cannot_be_is_an_error_that_names_it(host: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot serve metrics at {host}"):
        serve(host, free_port(), Health("test"), list)


def test_once_stopped_the_port_is_free_again() -> None:
    server = Server()
    server.stop()
    server.stop = serve("127.0.0.1", server.port, server.health, list)
    assert server.get("/healthz")[0] == 200
    server.stop()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9", 200), ("localhost:9", 200), ("[::1]:9", 200), ("localhost", 200),
        ("evil.example", 421), ("127.evil.example:9", 421), ("localhost.evil.example", 421),
        ("[::1", 400),
    ],
)  # fmt: skip
def test_a_name_that_was_made_to_point_here_is_not_answered(host: str, status: int) -> None:
    port = free_port()
    stop = serve("127.0.0.1", port, Health("camera"), list)
    try:
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Host": host})
        try:
            answer = urllib.request.urlopen(asked, timeout=5).status
        except urllib.error.HTTPError as error:
            answer = error.code
    finally:
        stop()
    assert answer == status
