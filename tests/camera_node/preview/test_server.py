"""Who may look at the preview's page, and who may change a mask."""

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from roommood.camera_node.preview.run import run_preview
from roommood.camera_node.preview.server import Access, serve
from roommood.camera_node.preview.viewer import Preview
from roommood.shared.errors import ConfigError
from roommood.shared.process.settings import PreviewSettings
from tests.end_to_end.site import until
from tests.ports import free_port

ROOT = Path(__file__).parents[3]
PASSWORD = "correct horse"
MASK = [[0.0, 0.0], [0.5, 0.0], [0.25, 0.75]]
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def room(tmp_path: Path) -> Path:
    folder = tmp_path / "room"
    folder.mkdir()
    cv2.imwrite(str(folder / "room.png"), np.full((48, 64, 3), 90, np.uint8))
    return folder


def settings_for(room: Path) -> PreviewSettings:
    return PreviewSettings(source=str(room))


class Page:
    """A preview that is served, and a browser's requests to it."""

    def __init__(self, room: Path, access: Access | None = None) -> None:
        access = access or Access(f"127.0.0.1:{free_port()}")
        self.preview = Preview(settings_for(room))
        self.preview.start()
        self.port, self._stop = serve(access, self.preview)
        self.origin = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Page":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self.preview.stop()

    def ask(
        self, path: str, headers: dict[str, str] | None = None, body: object = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        method = "GET" if body is None else "POST"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body)
        connection.request(method, path, data, headers or {})
        answer = connection.getresponse()
        answered = answer.status, answer.headers, answer.read()
        connection.close()
        return answered

    def post(self, path: str, body: object, **headers: str) -> tuple[int, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        status, _, answer = self.ask(path, {**JSON, "Origin": self.origin, **named}, body)
        return status, json.loads(answer) if status in (200, 400) else answer


@pytest.fixture
def page(room: Path) -> Iterator[Page]:
    with Page(room) as served:
        yield served


@pytest.mark.parametrize("path", ["/", "/page.js", "/page.css", "/state", "/frame"])
def test_nothing_is_kept_by_a_browser_nor_shown_inside_another_page(page: Page, path: str) -> None:
    status, headers, body = page.ask(path)
    assert status == 200
    assert body
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "Python" not in headers["Server"]


def test_a_frame_is_a_jpeg_with_its_size(page: Page) -> None:
    _, headers, body = page.ask("/frame")
    assert headers["Content-Type"] == "image/jpeg"
    assert headers["X-Size"] == "64x48"
    assert headers["X-Faces"] == ""
    assert body.startswith(b"\xff\xd8")


@pytest.mark.parametrize("path", ["/nowhere", "/../../etc/passwd", "/page.html", "/frame/"])
def test_there_is_nothing_else(page: Page, path: str) -> None:
    assert page.ask(path)[0] == 404


def test_masks_are_set_and_told_as_lines(page: Page) -> None:
    status, state = page.post("/masks", {"masks": [MASK]})
    assert status == 200
    assert state["masks"] == page.preview.masks == [MASK]
    assert state["toml"].startswith("masks = [\n  [[0.000, 0.000], [0.500, 0.000]")


@pytest.mark.parametrize("body", [b"[" * 60_000, b'{"masks": ' + b"[" * 900 + b"]" * 900 + b"}"])
def test_masks_nested_without_end_are_refused(page: Page, body: bytes) -> None:
    status, answer = page.post("/masks", body)
    assert status == 400
    assert answer["error"]
    assert page.preview.masks == []


@pytest.mark.parametrize("masks", ["x", [[[0, 0]]], [[[0, 0], [1, 0], [7, 7]]], None, [None]])
def test_masks_that_are_none_are_refused_with_the_reason(page: Page, masks: object) -> None:
    status, answer = page.post("/masks", {"masks": masks})
    assert status == 400
    assert "mask" in answer["error"]
    assert page.preview.masks == []


# Other sites in the same browser


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
@pytest.mark.parametrize("checked", [True, False], ids=["checked", "control"])
def test_a_name_that_is_pointed_at_us_is_not_answered(
    room: Path, monkeypatch: pytest.MonkeyPatch, host: str, checked: bool
) -> None:
    if not checked:
        monkeypatch.setattr(Access, "is_ours", lambda *_: True)
    with Page(room) as page:
        assert page.ask("/frame", {"Host": host})[0] == (421 if checked else 200)


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1", "[::1]:9705"])
def test_our_own_names_are_answered_at_whatever_port_a_tunnel_has(page: Page, host: str) -> None:
    assert page.ask("/state", {"Host": host})[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", **JSON},
        {"Origin": "null", **JSON},
        JSON,
        {"Content-Type": "text/plain"},
    ],
    ids=["another site", "a file", "no origin", "a form"],
)
def test_a_page_of_somebody_else_changes_nothing(page: Page, headers: dict[str, str]) -> None:
    assert page.ask("/masks", headers, {"masks": []})[0] == 403
    assert page.ask("/masks", {**JSON, "Origin": page.origin}, {"masks": []})[0] == 200


# The password


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"me:{password}".encode()).decode()}


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return path


def test_without_the_password_nothing_is_shown(room: Path, password_file: Path) -> None:
    with Page(room, Access(f"127.0.0.1:{free_port()}", password_file)) as page:
        for path in ("/", "/frame", "/state", "/page.js", "/nowhere"):
            status, headers, body = page.ask(path)
            assert (status, headers["WWW-Authenticate"][:5]) == (401, "Basic")
            assert body == b"the password, please\n"
        assert page.ask("/frame", basic("wrong horse"))[0] == 401
        assert page.ask("/frame", {"Authorization": "Basic !"})[0] == 401
        assert page.ask("/frame", basic(PASSWORD))[0] == 200


def test_other_machines_may_look_only_with_a_password(password_file: Path) -> None:
    with pytest.raises(ConfigError, match="--password-file"):
        Access("0.0.0.0:9705")
    access = Access("0.0.0.0:9705", password_file)
    assert access.is_ours("192.168.1.7:9705")
    assert not access.is_ours("evil.example:9705")
    assert not Access("127.0.0.1:9705").is_ours("192.168.1.7:9705")


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [("short", 0o600, "8 characters"), (PASSWORD, 0o644, "chmod 600"), ("", 0o600, "8 characters")],
)
def test_a_password_that_is_none_is_refused(
    room: Path, password_file: Path, text: str, mode: int, message: str
) -> None:
    password_file.write_text(text)
    password_file.chmod(mode)
    with pytest.raises(ConfigError, match=message):
        serve(Access(f"127.0.0.1:{free_port()}", password_file), Preview(settings_for(room)))


# Saving


def test_masks_are_saved_only_where_that_was_allowed(room: Path, tmp_path: Path) -> None:
    file = tmp_path / "roommood.toml"
    file.write_text('[camera]\nname = "door"\nroom = "hall"\n')
    for save_to, status in ((None, 404), (file, 200)):
        access = Access(f"127.0.0.1:{free_port()}", save_to=save_to)
        with Page(room, access) as page:
            page.post("/masks", {"masks": [MASK]})
            assert ("masks" in file.read_text()) is False
            assert page.post("/save", {})[0] == status
    assert "[[0.000, 0.000], [0.500, 0.000], [0.250, 0.750]]" in file.read_text()


# How many


def test_few_are_served_at_a_time_and_the_next_once_one_has_gone(page: Page) -> None:
    idle = [socket.create_connection(("127.0.0.1", page.port)) for _ in range(4)]
    asking = socket.create_connection(("127.0.0.1", page.port))
    asking.sendall(b"GET /state HTTP/1.0\r\nHost: localhost\r\n\r\n")
    asking.settimeout(0.5)
    with pytest.raises(TimeoutError):
        asking.recv(1)
    idle[0].close()
    asking.settimeout(20)
    assert asking.recv(12) == b"HTTP/1.0 200"
    for link in (*idle, asking):
        link.close()


# From start to end


def test_it_ends_by_itself_when_nobody_looks(
    room: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    access = Access(f"127.0.0.1:{free_port()}")
    assert run_preview(settings_for(room), access, None, idle_s=0.2) == 0
    assert "Nobody has looked" in capsys.readouterr().out


def test_the_command_serves_until_it_is_told_to_stop_and_leaves_nothing(
    room: Path, tmp_path: Path
) -> None:
    port, empty = free_port(), tmp_path / "empty"
    empty.mkdir()
    code = "from roommood.deploy.cli import main; main()"
    where = ["--source", str(room), "--bind", f"127.0.0.1:{port}"]
    command = [sys.executable, "-c", code, "camera", "preview", *where]
    environment = {**os.environ, "TMPDIR": str(empty), "HOME": str(empty)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=empty, env=environment) as running:
        assert running.stdout is not None
        assert f"http://localhost:{port}/".encode() in running.stdout.readline()
        served = Page.__new__(Page)
        served.port = port
        assert until(lambda: served.ask("/frame")[0] == 200, "a picture is shown")
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    assert list(empty.rglob("*.jpg")) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--bind", "0.0.0.0:9705"], "--password-file"),
        (["--save"], "give --config"),
        (["--source", "/nowhere/at/all"], "cannot be read"),
        (["--source", "/dev/video9"], "no camera /dev/video9"),
        (["before", "--source", "simulated"], "after the word preview"),
    ],
)
def test_a_mistake_is_a_clear_line(options: list[str], message: str) -> None:
    code = "from roommood.camera_node.cli import main; main()"
    words = [*options[1:], "preview"] if options[0] == "before" else ["preview", *options]
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=60
    )
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
