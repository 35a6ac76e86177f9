"""Webhooks that are away, wrong or odd: what is said of them, and what becomes of messages."""

import logging
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import pytest

from roommood.aggregator.notify.delivery import WITHIN_S
from roommood.aggregator.notify.message import Message
from roommood.aggregator.notify.notifier import as_message
from roommood.aggregator.notify.sender import Target
from roommood.aggregator.notify.services import services
from roommood.aggregator.notify.watch import Event
from roommood.shared.clock import boot_ms
from tests.certificates import self_signed
from tests.end_to_end.site import until
from tests.needs import missing
from tests.ports import free_port

TOKEN = "tk-7f3a9c"


@pytest.fixture(autouse=True)
def _apprise() -> None:
    try:
        import apprise  # noqa: F401
    except ImportError:
        missing("Apprise is not installed: pip install '.[notify]'")


class _Hook(BaseHTTPRequestHandler):
    """The first part of the path says how it answers."""

    seen: list[str]
    is_over: threading.Event

    def do_GET(self) -> None:
        self.seen.append("GET")
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        self.seen.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        how = self.path.split("/")[1]
        if how == "close":
            return
        if how == "endless":
            self._answer_without_end()
            return
        self.send_response(int(how))
        self.send_header("Location", f"/login/{TOKEN}")
        self.end_headers()

    def _answer_without_end(self) -> None:
        """As much as is read, or a byte each half second."""
        self.send_response(200)
        self.end_headers()
        part, pause_s = (b"x" * 2**20, 0.0) if self.path.endswith("/fast") else (b"x", 0.5)
        with suppress(OSError):
            while not self.is_over.wait(pause_s):
                self.wfile.write(part)
                self.seen[-1] = "read"

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def webhook(certificate: tuple[Path, Path] | None = None) -> Iterator[tuple[int, list[str]]]:
    """Its port, and what it was sent."""
    seen: list[str] = []
    over = threading.Event()
    hook = type("Hook", (_Hook,), {"seen": seen, "is_over": over})
    server = ThreadingHTTPServer(("127.0.0.1", 0), hook)
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*certificate)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], seen
    over.set()
    server.shutdown()
    server.server_close()


def send(folder: Path, url: str, message: Message | None = None, within_s: float = WITHIN_S) -> str:
    """Why it did not arrive, "" where it did."""
    path = write_urls(folder, url)
    ((_, to),) = services(path, within_s)
    return to(message or Message("title", "body", False, []))


def write_urls(folder: Path, *urls: str) -> Path:
    path = folder / "notify.urls"
    path.write_text("\n".join(urls) + "\n")
    path.chmod(0o600)
    return path


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("200", ""),
        ("204", ""),
        ("500", "it answered with status 500"),
        ("404", "it answered with status 404"),
        ("302", "it answered with status 302: write the address to which it redirects"),
        ("308", "it answered with status 308: write the address to which it redirects"),
        ("close", "it closed the connection"),
    ],
)
def test_how_a_webhook_answers_is_told_and_no_redirect_counts_as_an_arrival(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str, why: str
) -> None:
    caplog.set_level(logging.DEBUG)
    with webhook() as (port, seen):
        assert send(tmp_path, f"json://127.0.0.1:{port}/{how}/{TOKEN}") == why
        assert "GET" not in seen
    assert TOKEN not in caplog.text


def test_a_webhook_that_cannot_be_reached_is_told_with_its_reason(tmp_path: Path) -> None:
    nobody = f"json://127.0.0.1:{free_port()}/{TOKEN}"
    assert send(tmp_path, nobody) == "connection refused"
    assert send(tmp_path, f"json://nowhere.invalid/{TOKEN}") == "its host has no address"
    with webhook() as (port, _):
        assert send(tmp_path, f"jsons://127.0.0.1:{port}/200/{TOKEN}") == "no TLS there"


def test_a_certificate_of_ones_own_making_is_told_and_can_be_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = self_signed(tmp_path, "hook")
    with webhook(made) as (port, seen):
        url = f"jsons://localhost:{port}/200/{TOKEN}"
        assert "not trusted: set REQUESTS_CA_BUNDLE" in send(tmp_path, url)
        assert not seen
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made[0]))
        assert send(tmp_path, url) == ""
    expired = self_signed(tmp_path, "expired", days=-1)
    with webhook(expired) as (port, _):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(expired[0]))
        expired_url = f"jsons://localhost:{port}/200/{TOKEN}"
        assert send(tmp_path, expired_url) == "its certificate has expired"


def test_a_message_that_comes_late_says_of_when_it_is(tmp_path: Path) -> None:
    hour_ms = 3_600_000.0
    late = Message("title", "body", False, [], made_ms=boot_ms() - hour_ms)
    with webhook() as (port, seen):
        assert send(tmp_path, f"json://127.0.0.1:{port}/200/x", late) == ""
        assert send(tmp_path, f"json://127.0.0.1:{port}/200/x") == ""
    assert "This comes late, it was so at 20" in seen[0]
    assert "late" not in seen[1]
    assert 3_590 < (datetime.now(late.at.tzinfo) - late.at).total_seconds() < 3_660


def test_what_is_longer_than_a_service_takes_comes_in_parts(tmp_path: Path) -> None:
    """Of what a service refuses as too long nothing arrived, and nothing after it."""
    body = "\n".join(f"cam-{n} (hall): silent. Is its power on?" for n in range(1_000))
    with webhook() as (port, seen):
        message = Message("title", body, False, [])
        assert send(tmp_path, f"json://127.0.0.1:{port}/200", message) == ""
    assert len(seen) == 2
    assert all(len(part) < 34_000 for part in seen)
    assert "cam-0 " in seen[0]
    assert "cam-999 " in seen[1]


def test_of_very_much_people_are_told_the_beginning_and_programs_all() -> None:
    events = [Event("began", f"cam-{n}", "hall", "silent") for n in range(60)]
    message = as_message(events)
    assert message.body.splitlines()[-2:] == [
        "cam-49 (hall): silent",
        "and 10 more: see roommood rooms",
    ]
    assert len(message.events) == 60


def test_an_answer_that_never_ends_neither_fills_memory_nor_holds_up_what_comes_next(
    tmp_path: Path,
) -> None:
    with webhook() as (port, seen):
        url = f"json://127.0.0.1:{port}/endless/{TOKEN}"
        before = getrusage(RUSAGE_SELF).ru_maxrss
        why = send(tmp_path, f"{url}/fast")
        # Apprise 1.11 does not say what went wrong.
        assert "its answer is too long" in why or why == "it did not take the message"
        assert send(tmp_path, f"{url}/slow", within_s=5) == "its answer did not end within 5 s"
        assert seen == ["read", "read"]
        assert getrusage(RUSAGE_SELF).ru_maxrss < before + 100_000


def test_messages_to_many_services_go_out_three_at_once(tmp_path: Path) -> None:
    """Each by a process, which all have room in the memory of one service."""
    at_once, before = [0], processes()
    with webhook() as (port, seen):
        path = write_urls(tmp_path, *(f"json://127.0.0.1:{port}/endless/slow" for _ in range(4)))
        targets = [Target(name, to) for name, to in services(path, within_s=2)]

        def are_all_asked() -> bool:
            at_once.append(processes() - before)
            return len(seen) >= 4

        for target in targets:
            target.tell(Message("title", "body", False, []))
        until(are_all_asked, "each is asked", 150)
        for target in targets:
            target.stop()
    assert max(at_once) == 3


def processes() -> int:
    """How many this one has started, from whichever thread."""
    return sum(len(path.read_text().split()) for path in Path("/proc/self/task").glob("*/children"))


def test_what_is_on_its_way_ends_with_the_notifier_and_not_with_its_signal(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from roommood.aggregator.notify.services import services
((_, to),) = services(Path({str(tmp_path / "notify.urls")!r}))
from roommood.aggregator.notify.message import Message
to(Message("title", "body", False, []))
"""
    with webhook() as (port, seen):
        write_urls(tmp_path, f"json://127.0.0.1:{port}/endless/slow")
        notifier = subprocess.Popen([sys.executable, "-c", code])
        until(lambda: "read" in seen, "it is answered")
        (child,) = children(notifier.pid)
        os.kill(child, signal.SIGTERM)
        os.kill(child, signal.SIGINT)
        assert child in children(notifier.pid)
        notifier.kill()
        notifier.wait(20)
        until(lambda: not is_running(child), "it has ended")


def test_what_waits_is_tried_once_more_at_the_end() -> None:
    tries: list[str] = []

    def to(message: Message) -> str:
        tries.append(message.title)
        return "away" if len(tries) == 1 else ""

    target = Target("hook", to)
    target.tell(Message("kitchen", "", False, []))
    until(lambda: tries, "it was sent, and waits")
    target.stop()
    target.join(10)
    assert tries == ["kitchen", "kitchen"]


def test_what_a_library_raises_does_not_end_the_sending(caplog: pytest.LogCaptureFixture) -> None:
    arrived: list[str] = []

    def to(message: Message) -> str:
        if not arrived and message.title == "first":
            arrived.append("tried")
            raise RuntimeError(TOKEN)
        arrived.append(message.title)
        return ""

    target = Target("hook", to)
    target.tell(Message("first", "", False, []))
    until(lambda: "target lost" in caplog.text, "it is told")
    target.stop()
    target.join(10)
    assert arrived == ["tried", "first"]
    assert TOKEN not in caplog.text
