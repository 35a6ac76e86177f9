"""The dashboard as a process of its own, as `roommood dashboard` runs it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import httpx

from tests.end_to_end.site import until
from tests.ports import free_port
from tests.redis_server import RedisServer

# A busy machine takes its time over the imports.
_START_S = 90.0
READER, PASSWORD = "page", "a-reader's-own"


class Served:
    """A running dashboard; `get` asks it."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.port = port
        self.process = process
        self.log = log
        self.http = httpx.Client(base_url=self.url, timeout=20.0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(path, headers=headers)

    def json(self, path: str) -> Any:
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def room(self, name: str) -> Any:
        """What the API says of a room now; None while it says nothing."""
        answer = self.get(f"/api/rooms/{name}")
        return answer.json() if answer.status_code == 200 else None


@contextmanager
def serving(
    folder: Path, redis_url: str, *options: str, bind: str = "", port: int = 0
) -> Iterator[Served]:
    """Starts it, and ends it in good order."""
    port = port or free_port()
    log = folder / f"dashboard-{port}.log"
    code = "from roommood.aggregator.dashboard.cli import main; main()"
    where = ("--bind", f"{bind or '127.0.0.1'}:{port}", "--redis", redis_url)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", code, *where, *options], stdout=out, stderr=out, cwd=folder
        )
    served = Served(port, process, log)
    try:
        until(served.answers, "the dashboard answers", _START_S)
        yield served
    finally:
        served.http.close()
        if process.poll() is None:
            process.terminate()
            assert process.wait(20.0) == 0, log.read_text()


def reader_of(server: RedisServer, folder: Path) -> tuple[str, ...]:
    """URL and options of a user with the rights of the shipped ACL file's reader, and no more."""
    with server.client() as client:
        client.execute_command(
            *("ACL", "SETUSER", READER, "reset", "on", f">{PASSWORD}"),
            *("~roommood:*", "resetchannels", "&roommood:*"),
            *("-@all", "+@connection", "+@read", "+subscribe", "+psubscribe", "-@dangerous"),
        )
    return as_user(server, READER, folder)


def operator_of(server: RedisServer, folder: Path) -> tuple[str, ...]:
    """Options for a page that may set things, with the rights of the shipped file's operator."""
    acl = resources.files("roommood.deploy").joinpath("redis", "users.acl").read_text("utf-8")
    (line,) = [row for row in acl.splitlines() if row.startswith("user operator ")]
    rights = line.split()[4:]
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "operator", "reset", "on", f">{PASSWORD}", *rights)
    url, _, file = as_user(server, "operator", folder)
    return "--operator-redis-url", url, "--operator-redis-password-file", file


def as_user(server: RedisServer, user: str, folder: Path) -> tuple[str, ...]:
    """URL and options of a user whose password is PASSWORD."""
    password_file = folder / "redis-password"
    password_file.write_text(PASSWORD)
    password_file.chmod(0o600)
    url = server.url.replace("unix://", f"unix://{user}@")
    return url, "--redis-password-file", str(password_file)
