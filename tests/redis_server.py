"""A private Redis for tests: real, on a unix socket in a folder of its own, killable."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import redis

from roommood.deploy.demo.private_redis import NoRedisServer, find_server
from tests.needs import missing
from tests.ports import free_port as free_port  # noqa: PLC0414 (where most look for it)

_PATIENCE_S = 60.0


class RedisServer:
    """One redis-server or valkey-server process; its data outlives a kill.

    It listens on a unix socket, and on loopback where `port` is given among the `options`,
    which are the server's own with `_` for `-`: `RedisServer(appendonly="yes")`. `login` is
    "user:password" of an administrator, where an ACL file asks for one. As a context manager
    it is started, and at the end killed and its folder removed.
    """

    def __init__(self, *, login: str = "", **options: str) -> None:
        self._login = login
        self._folder = Path(tempfile.mkdtemp(prefix="roommood-redis-"))
        self.socket = self._folder / "redis.sock"
        self._options = {"port": "0", "bind": "127.0.0.1", "save": "", **options}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "RedisServer":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    @property
    def patient_url(self) -> str:
        """Where time-outs are not the matter: on a busy machine a script takes seconds."""
        return f"{self.url}&socket_timeout=60"

    def start(self) -> "RedisServer":
        """Start it, on the data that an earlier run left, and wait until it answers."""
        command = [server_program(), "--dir", str(self._folder), "--unixsocket", str(self.socket)]
        for name, value in self._options.items():
            command += [f"--{name.replace('_', '-')}", *(value.split() or [""])]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._wait_until_it_answers()
        return self

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it hang: it accepts connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def client(self) -> redis.Redis:
        """A plain client that decodes replies, for looking into it."""
        return self._client(decode_responses=True)

    def log(self) -> str:
        return (self._folder / "redis.log").read_text(errors="replace")

    def _client(self, **options: Any) -> redis.Redis:
        user, _, password = self._login.partition(":")
        options["socket_timeout"] = _PATIENCE_S
        options["username"] = user or None
        if "rename_command" in self._options:  # perhaps HELLO, which the newer protocol begins with
            options["protocol"] = 2
        options["password"] = password or self._options.get("requirepass")
        return redis.Redis.from_url(self.url, **options)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(_PATIENCE_S)

    def _wait_until_it_answers(self) -> None:
        retry = redis.retry.Retry(redis.backoff.ConstantBackoff(0.02), int(_PATIENCE_S / 0.02))
        busy = (redis.ConnectionError, redis.exceptions.BusyLoadingError)
        client = self._client(retry=retry, retry_on_error=list(busy))
        try:
            client.ping()
        except redis.RedisError as error:
            self.kill()
            raise AssertionError(f"redis-server does not answer: {error}\n{self.log()}") from error
        finally:
            client.close()


def server_program() -> str:
    """$REDIS_SERVER, else the server that setting up brought, else one on PATH; with `--sentinel`
    it is a Sentinel. Without any the test skips."""
    try:
        return os.environ.get("REDIS_SERVER") or str(find_server())
    except NoRedisServer as error:
        missing(str(error))
