"""A private master and its replica behind one address, as a virtual IP or HAProxy gives it."""

from types import TracebackType

import redis

from tests.end_to_end.site import until
from tests.faults.proxy import FaultProxy
from tests.ports import free_port
from tests.redis_server import RedisServer


class RedisPair:
    """New connections go to the master of this moment; those that stand stay where they are."""

    def __init__(self, **options: str) -> None:
        self._ports = free_port(), free_port()
        replica_of = {"replicaof": f"127.0.0.1 {self._ports[0]}"}
        usual = {"repl_diskless_sync_delay": "0", **options}
        self.servers = [
            RedisServer(port=str(self._ports[0]), **usual),
            RedisServer(port=str(self._ports[1]), **{**usual, **replica_of}),
        ]
        self.front = FaultProxy(f"127.0.0.1:{self._ports[0]}")

    def __enter__(self) -> "RedisPair":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.front.__exit__(kind, error, trace)
        for server in self.servers:
            server.__exit__(kind, error, trace)

    def start(self) -> "RedisPair":
        for server in self.servers:
            server.start()
        until(lambda: follows(self.servers[1]), "the replica follows")
        self.front.__enter__()
        return self

    @property
    def url(self) -> str:
        return f"redis://{self.front.address}/0"

    def client(self) -> redis.Redis:
        """A plain client of the master, for looking into it."""
        return self.servers[self._master()].client()

    def swap(self) -> None:
        """The replica becomes the master and has all that the other had, which lives on as its
        replica."""
        old = self._master()
        with self.servers[old].client() as client:
            until(lambda: is_followed(client), "the old master knows of the new one")
            client.execute_command("FAILOVER", "TO", "127.0.0.1", self._ports[1 - old])
        until(lambda: follows(self.servers[old]), "the old master follows the new one")
        self.front.target = f"127.0.0.1:{self._ports[1 - old]}"

    def _master(self) -> int:
        return self._ports.index(int(self.front.target.rpartition(":")[2]))


def is_followed(master: redis.Redis) -> bool:
    """Whether a replica is at hand; it may itself have said so a moment before."""
    replica = master.info("replication").get("slave0", {})
    return bool(replica.get("state") == "online")


def follows(server: RedisServer) -> bool:
    """Whether it is a replica that has what its master has."""
    try:
        with server.client() as client:
            return bool(client.info("replication").get("master_link_status") == "up")
    except redis.ConnectionError:  # it ends all connections as it becomes a replica
        return False
