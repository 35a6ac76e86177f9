"""`roommood notify` as a process, with a real Redis, a real webhook and a real program."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from roommood.aggregator.counting.store import Store
from roommood.shared.clock import wall_ms
from tests.aggregator.made import delivery, face, only, result
from tests.end_to_end.site import until
from tests.needs import missing
from tests.redis_server import RedisServer

_ROOT = Path(__file__).parents[3]
TOKEN = "tk-7f3a9c"


@pytest.fixture(autouse=True)
def _apprise() -> None:
    try:
        import apprise  # noqa: F401
    except ImportError:
        missing("Apprise is not installed: pip install '.[notify]'")


class Webhook:
    """An HTTP server that keeps what is posted; it refuses while `is_down`."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.is_down = False
        self.refused = 0
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hook.is_down:
                    hook.refused += 1
                else:
                    hook.posted.append({"path": self.path, **json.loads(body)})
                self.send_response(503 if hook.is_down else 200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def titles(self) -> list[str]:
        return [message["title"] for message in self.posted]


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


class Notifier:
    """`roommood notify` that looks five times a second and tells what lasts 0.3 s."""

    def __init__(self, folder: Path, redis_url: str, *options: str) -> None:
        code = "from roommood.deploy.cli import main; main()"
        fast = ["--every-s", "0.2", "--hold-s", "0.3", "--expression-hold-s", "0.3"]
        command = [sys.executable, "-c", code, "notify", "--redis", redis_url, *fast, *options]
        self.log = folder / "notify.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--log-level", "debug"], cwd=_ROOT, stdout=log, stderr=log
            )

    def __enter__(self) -> "Notifier":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(20)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def urls_file(folder: Path, webhook: Webhook) -> Path:
    path = folder / "notify.urls"
    port = webhook.server.server_address[1]
    path.write_text(f"# the hook\n\njson://127.0.0.1:{port}/{TOKEN}\n")
    path.chmod(0o600)
    return path


def heard(hook: Webhook, *titles: str) -> None:
    until(lambda: len(hook.posted) >= len(titles), f"{titles}, but {hook.titles()}", 60)
    assert [
        title.startswith(start) for title, start in zip(hook.titles(), titles, strict=True)
    ] == [True for _ in titles], hook.titles()


def test_redis_that_goes_and_returns_is_told_once_each_and_no_log_quotes_the_address(
    webhook: Webhook, tmp_path: Path
) -> None:
    with RedisServer() as server:
        Store(server.url).close()
        hook = urls_file(tmp_path, webhook)
        with Notifier(tmp_path, server.url, "--urls-file", str(hook)) as notifier:
            until(lambda: b"found" in notifier.log.read_bytes(), "it reads Redis")
            server.kill()
            heard(webhook, "roommood, Redis: away")
            server.start()
            heard(webhook, "roommood, Redis: away", "roommood, Redis: over: away")
            assert notifier.end() == 0
        assert webhook.posted[0]["path"] == f"/{TOKEN}"
        assert "it lasted" in webhook.posted[1]["message"]
        assert [message["type"] for message in webhook.posted] == ["warning", "success"]
        assert TOKEN not in notifier.log.read_text()


def commit_frames(store: Store, expression: str, picture: str) -> None:
    now_ms = wall_ms()
    frames = [
        delivery(result(round(now_ms) + n, face(only(expression))), now_ms - 1000 + n * 100)
        for n in range(10)
    ]
    assert not store.commit(frames, now_ms).errors
    store.touch_rooms({"kitchen": now_ms})
    reported: dict[str, str | float] = {
        "room": "kitchen",
        "silent_ms": 0.0,
        "source": "ok",
        "picture": picture,
    }
    store.write_health({"door": reported}, {"w1": {"address": "tcp://desk:5701"}}, now_ms)


def test_a_frozen_picture_and_another_expression_are_told_and_the_pictures_end(
    server: RedisServer, store: Store, webhook: Webhook, tmp_path: Path
) -> None:
    commit_frames(store, "happiness", "ok")
    hook = urls_file(tmp_path, webhook)
    with Notifier(tmp_path, server.url, "--urls-file", str(hook)):

        def tell(word: str, expression: str, picture: str) -> None:
            def seen() -> bool:
                commit_frames(store, expression, picture)
                return any(word in title for title in webhook.titles())

            until(seen, f"{word}, but {webhook.titles()}", 60)

        tell("door (kitchen): frozen", "happiness", "frozen")
        tell("door (kitchen): over: frozen", "happiness", "ok")
        tell("sadness is shown most, after happiness", "sadness", "ok")
    assert len(webhook.posted) == 3


def test_a_message_that_is_refused_arrives_once_the_webhook_is_back(
    webhook: Webhook, tmp_path: Path
) -> None:
    webhook.is_down = True
    hook = urls_file(tmp_path, webhook)
    nowhere = f"unix://{tmp_path}/none.sock"
    with Notifier(tmp_path, nowhere, "--urls-file", str(hook)) as notifier:
        until(lambda: webhook.refused, "a message is refused", 60)
        webhook.is_down = False
        heard(webhook, "roommood, Redis: away")
        log = notifier.log.read_text()
        assert "line 3 (json)" in log
        assert TOKEN not in log


def test_a_program_is_given_the_events_as_json(tmp_path: Path) -> None:
    program, got = tmp_path / "bell", tmp_path / "got.json"
    program.write_text(f"#!/bin/sh\ncat > {got}.part && mv {got}.part {got}\n")
    program.chmod(0o700)
    with Notifier(tmp_path, f"unix://{tmp_path}/none.sock", "--command", str(program)):
        until(got.exists, "the program was started", 60)
    message = json.loads(got.read_text())
    assert abs((datetime.now(UTC) - datetime.fromisoformat(message["at"])).total_seconds()) < 60
    (sent,) = message["events"]
    assert (sent["kind"], sent["of"]) == ("began", "Redis")


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        ("json://127.0.0.1/tk-7f3a9c", 0o644, "chmod 600"),
        ("nosuch://tk-7f3a9c", 0o600, "line 1: Apprise does not know"),
        ("# nothing", 0o600, "has 0 addresses"),
    ],
)
def test_addresses_that_cannot_be_used_are_refused_without_being_quoted(
    tmp_path: Path, text: str, mode: int, says: str
) -> None:
    path = tmp_path / "notify.urls"
    path.write_text(text)
    path.chmod(mode)
    with Notifier(tmp_path, "unix:///nowhere", "--urls-file", str(path)) as notifier:
        assert notifier.process.wait(60) == 2
    assert says in notifier.log.read_text()
    assert TOKEN not in notifier.log.read_text()


def test_without_anybody_to_tell_it_says_what_to_give(tmp_path: Path) -> None:
    with Notifier(tmp_path, "unix:///nowhere") as notifier:
        assert notifier.process.wait(60) == 2
    assert "--urls-file" in notifier.log.read_text()


@pytest.mark.parametrize("name", ["", "none", "not-executable", "folder"])
def test_a_program_that_cannot_be_started_is_told_at_the_start(tmp_path: Path, name: str) -> None:
    """Not with the first message, which would be lost."""
    (tmp_path / "not-executable").write_text("#!/bin/sh\n")
    (tmp_path / "folder").mkdir()
    program = str(tmp_path / name) if name else ""
    with Notifier(tmp_path, "unix:///nowhere", "--command", program) as notifier:
        assert notifier.process.wait(60) == 2
    assert "no such program that this user may start" in notifier.log.read_text()
