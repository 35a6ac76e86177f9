"""A private master with a replica, and three real sentinels that watch them."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import redis

from tests.end_to_end.site import until
from tests.ports import free_port
from tests.redis_server import RedisServer, server_program

SERVICE = "site"
_CONFIG = """
bind 127.0.0.1
dir {folder}
sentinel monitor {service} 127.0.0.1 {master} 2
sentinel down-after-milliseconds {service} 1000
sentinel failover-timeout {service} 3000
"""


class Sentinels:
    """`servers[0]` is the master at the start; what it confirms is on its disk. `options` are the
    servers' own, as for `RedisServer`. `tls` is a folder with server.crt, server.key and ca.pem:
    nobody speaks in the clear then."""

    def __init__(
        self, *, sentinel_password: str = "", tls: Path | None = None, **options: str
    ) -> None:
        self._tls = tls
        self._password, self._sentinel_password = options.get("requirepass"), sentinel_password
        self.ports = [free_port(), free_port()]
        self.sentinel_ports = [free_port() for _ in range(3)]
        usual = {"appendonly": "yes", "appendfsync": "always", "repl_diskless_sync_delay": "0"}
        replica_of = {"replicaof": f"127.0.0.1 {self.ports[0]}"}
        self.servers = [
            RedisServer(**{**usual, **more, **options, **self._listening(port)})
            for port, more in zip(self.ports, ({}, replica_of), strict=True)
        ]
        self._folder = Path(tempfile.mkdtemp(prefix="roommood-sentinels-"))
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Sentinels":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.kill()
            process.wait(20)
        for server in self.servers:
            server.__exit__(kind, error, trace)
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> "Sentinels":
        for server in self.servers:
            server.start()
        until(self._is_replicated, "the replica follows", 30.0)
        for number, port in enumerate(self.sentinel_ports):
            self._processes.append(self._sentinel(number, port))
        until(self._all_are_known, "the sentinels know each other and the replica", 60.0)
        return self

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports)
        if self._tls is None:
            return f"redis+sentinel://{hosts}/{SERVICE}/0"
        return f"rediss+sentinel://{hosts}/{SERVICE}/0?ca_file={self._tls / 'ca.pem'}"

    def _listening(self, port: int) -> dict[str, str]:
        """Options of a server or sentinel."""
        if self._tls is None:
            return {"port": str(port)}
        return {
            "port": "0", "tls_port": str(port), "tls_auth_clients": "no", "tls_replication": "yes",
            "tls_cert_file": str(self._tls / "server.crt"),
            "tls_key_file": str(self._tls / "server.key"),
            "tls_ca_cert_file": str(self._tls / "ca.pem"),
        }  # fmt: skip

    def master(self) -> int:
        """The place among `servers` of the one that the sentinels name."""
        for port in self.sentinel_ports:
            with self._of_sentinel(port) as client:
                host, named = client.sentinel_get_master_addr_by_name(SERVICE)
                assert host == "127.0.0.1"
                return self.ports.index(int(named))
        raise AssertionError("no sentinel answers")

    def client(self) -> redis.Redis:
        """A plain client of the master of this moment, for looking into it."""
        return self.servers[self.master()].client()

    def _sentinel(self, number: int, port: int) -> subprocess.Popen[bytes]:
        path = self._folder / f"{number}.conf"
        config = _CONFIG.format(folder=self._folder, service=SERVICE, master=self.ports[0])
        for name, value in self._listening(port).items():
            config += f"{name.replace('_', '-')} {value}\n"
        if self._password:
            config += f"sentinel auth-pass {SERVICE} {self._password}\n"
        if self._sentinel_password:
            config += f"requirepass {self._sentinel_password}\n"
            config += f"sentinel sentinel-pass {self._sentinel_password}\n"
        path.write_text(config)
        with (self._folder / f"{number}.log").open("wb") as log:
            return subprocess.Popen(
                [server_program(), str(path), "--sentinel"], stdout=log, stderr=log
            )

    def _of_sentinel(self, port: int) -> redis.Redis:
        tls = {"ssl": True, "ssl_ca_certs": str(self._tls / "ca.pem")} if self._tls else {}
        made: Any = redis.Redis
        return cast(
            redis.Redis,
            made(
                host="127.0.0.1", port=port, decode_responses=True,
                password=self._sentinel_password or None, **tls,
            ),
        )  # fmt: skip

    def _is_replicated(self) -> bool:
        with self.servers[1].client() as client:
            return bool(client.info("replication")["master_link_status"] == "up")

    def _all_are_known(self) -> bool:
        return all(self._is_known_to(port) for port in self.sentinel_ports)

    def _is_known_to(self, port: int) -> bool:
        try:
            with self._of_sentinel(port) as client:
                state = client.sentinel_master(SERVICE)
        except redis.RedisError:
            return False
        return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)
