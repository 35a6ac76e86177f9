"""Which node of a Redis Cluster keeps which key, learned from any node that answers."""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

from roommood.aggregator.redis.failures import failures
from roommood.aggregator.redis.url import Host
from roommood.shared.errors import ShardAway

_Share = tuple[int, int, str]
_NOTHING: Final[tuple[_Share, ...]] = ()


class ClusterMap:
    """Nodes are named host:port. Errors of redis-py are passed on."""

    def __init__(self, seeds: Iterable[Host], make: Callable[[Host], Any]) -> None:
        """`seeds` are the nodes of the URL; `make` gives a client of a node."""
        self._seeds = [name_of(*host) for host in seeds]
        self._make = make
        self._clients: dict[str, Any] = {}
        self._shares: Sequence[_Share] = _NOTHING

    @property
    def is_known(self) -> bool:
        return bool(self._shares)

    @property
    def masters(self) -> list[str]:
        return sorted({name for _, _, name in self._shares})

    def node_of(self, key: str) -> str:
        """Raises ShardAway where no node keeps the key's slot."""
        from redis.crc import key_slot

        slot = key_slot(key.encode())
        place = bisect_right(self._shares, slot, key=lambda share: share[0]) - 1
        if place < 0 or slot > self._shares[place][1]:
            raise ShardAway(f"no node of the Redis Cluster keeps slot {slot} (of {key})")
        return self._shares[place][2]

    def client(self, node: str) -> Any:
        if node not in self._clients:
            host, _, port = node.rpartition(":")
            self._clients[node] = self._make((host, int(port)))
        return self._clients[node]

    def learn(self, last: Collection[str] = ()) -> str:
        """Asks one node after the other, those in `last` after all others; which one answered.

        Raises what the last one raised if none answers.
        """
        nodes = sorted(dict.fromkeys([*self.masters, *self._seeds]), key=lambda node: node in last)
        for node in nodes:
            try:
                slots = self.client(node).execute_command("CLUSTER SLOTS")
            except failures() as error:
                refused = error
                continue
            self._shares = sorted(_share(entry, node) for entry in slots)
            return node
        raise refused

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


def name_of(host: str, port: int) -> str:
    return f"{host}:{port}"


def _share(entry: Sequence[Any], asked: str) -> _Share:
    """One line of CLUSTER SLOTS; a node that does not know its own address leaves it empty."""
    first, last, (host, port, *_) = entry[:3]
    return int(first), int(last), name_of(host or asked.rpartition(":")[0], int(port))
