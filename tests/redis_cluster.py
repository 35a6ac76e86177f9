"""A private Redis Cluster for tests: three real servers on loopback, each killable."""

from collections.abc import Iterator
from types import TracebackType
from typing import Any

from redis.cluster import RedisCluster
from redis.crc import key_slot

from tests.end_to_end.site import until
from tests.ports import free_cluster_port
from tests.redis_server import RedisServer

_SLOTS = 16_384


class Cluster:
    """Three masters that share all slots; every confirmed write of theirs is on disk.

    A node that is lost takes only its own rooms with it (`cluster-require-full-coverage no`).
    `options` are the servers' own, as for `RedisServer`.
    """

    def __init__(self, **options: str) -> None:
        self.ports = [free_cluster_port() for _ in range(3)]
        self.nodes = [RedisServer(**(_of_cluster(port) | options)) for port in self.ports]

    def __enter__(self) -> "Cluster":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for node in self.nodes:
            node.__exit__(kind, error, trace)

    def start(self) -> "Cluster":
        for node in self.nodes:
            node.start()
        self._share_slots()
        self._introduce()
        self.wait_until_whole()
        return self

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"redis://{hosts}/0?cluster=true"

    def client(self) -> RedisCluster:
        """A plain client that decodes replies, for looking into it."""
        return RedisCluster(host="127.0.0.1", port=self.ports[0], decode_responses=True)

    def node_of(self, room: str) -> int:
        """The place among `nodes` of the one that keeps a room."""
        return self.node_of_key(f"{{{room}}}")

    def node_of_key(self, key: str) -> int:
        """The place of the one that keeps a key."""
        slot = key_slot(key.encode())
        return next(i for i, slots in enumerate(_shares()) if slot in slots)

    def wait_until_whole(self) -> None:
        """Until every node takes writes and sees all others."""
        for node in self.nodes:
            with node.client() as client:
                _wait_until_whole(client)

    def _share_slots(self) -> None:
        for node, slots in zip(self.nodes, _shares(), strict=True):
            with node.client() as client:
                client.execute_command("CLUSTER ADDSLOTS", *slots)

    def _introduce(self) -> None:
        with self.nodes[0].client() as client:
            for port in self.ports[1:]:
                client.execute_command("CLUSTER MEET", "127.0.0.1", port)


def _of_cluster(port: int) -> dict[str, str]:
    return {
        "port": str(port),
        "cluster_enabled": "yes",
        "cluster_require_full_coverage": "no",
        "cluster_node_timeout": "2000",
        "appendonly": "yes",
        "appendfsync": "always",
    }


def _shares() -> Iterator[range]:
    for first in range(3):
        yield range(first * _SLOTS // 3, (first + 1) * _SLOTS // 3)


def _is_whole(info: str | dict[str, str]) -> bool:
    """`CLUSTER INFO` as redis-py gives it, or as the server does."""
    if isinstance(info, str):
        info = dict(line.split(":", 1) for line in info.split() if ":" in line)
    whole = {"cluster_state": "ok", "cluster_known_nodes": "3", "cluster_slots_ok": str(_SLOTS)}
    return all(info[name] == value for name, value in whole.items())


def _wait_until_whole(client: Any) -> None:
    until(lambda: _is_whole(client.execute_command("CLUSTER INFO")), "the Redis Cluster has formed")
