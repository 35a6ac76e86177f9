"""The servers behind a Redis URL: one, or the shards of a Cluster.

A Cluster's own pipeline takes no scripts, so each shard is asked by itself. One that gives no
answer is left alone for a while (`redis.shards`): other shards' rooms do not wait for it.
Nothing here writes.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from roommood.aggregator.counting.buckets import RoomCall
from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.client import (
    as_store_error,
    connect,
    failures,
    is_cluster,
    translated,
)
from roommood.aggregator.redis.shards import ShardPauses
from roommood.shared.errors import ShardAway, StoreAway, StoreError

Reply = str | Exception
# Passes calls to the one server of a client: as many replies, in their order.
Run = Callable[[Any, Sequence[RoomCall]], list[Reply]]


class Servers:
    """Connections, made when first used. Errors of redis-py are passed on."""

    def __init__(self, url: str, password_file: Path | None = None) -> None:
        """`url` as in `redis_client.connect`."""
        self._url = url
        self._password_file = password_file
        self._is_cluster = is_cluster(url)
        # A Cluster is asked for its nodes when it is connected to; it may be away now.
        self._connected: Any = None if self._is_cluster else connect(url, password_file)
        self._pauses = ShardPauses()

    @property
    def client(self) -> Any:
        """For commands that go to whichever server they concern."""
        if self._connected is None:
            self._connected = connect(self._url, self._password_file)
        return self._connected

    def close(self) -> None:
        if self._connected is not None:
            self._connected.close()

    @property
    def away(self) -> frozenset[str]:
        """Nodes of a Cluster, as host:port, that gave no answer when last tried."""
        return self._pauses.failing

    def keeping(self, keys: Iterable[str]) -> list[tuple[Any, list[str]]]:
        """Keys with a client of the one server that keeps them."""
        if not self._is_cluster:
            return [(self.client, list(keys))]
        shards: dict[Any, list[str]] = {}
        for key in keys:
            shards.setdefault(self.client.get_node_from_key(key), []).append(key)
        return [(self.client.get_redis_connection(node), own) for node, own in shards.items()]

    def replies(self, calls: Sequence[RoomCall], run: Run) -> list[Reply]:
        """One reply or exception for each call, run on the server that keeps its room."""
        if not self._is_cluster:
            return run(self.client, calls)
        replies: list[Reply] = [""] * len(calls)
        try:
            shards = self._by_shard(calls)
        except StoreError as error:
            return [error] * len(calls)
        for node, places in shards.items():
            answers = self._from_shard(node, [calls[place] for place in places], run)
            for place, answer in zip(places, answers, strict=True):
                replies[place] = answer
        return replies

    def _by_shard(self, calls: Sequence[RoomCall]) -> dict[Any, list[int]]:
        """Places of the calls by the node that keeps their room. Raises StoreError."""
        shards: dict[Any, list[int]] = {}
        with translated(self._url):
            for place, call in enumerate(calls):
                node = self.client.get_node_from_key(call.keys[0])
                shards.setdefault(node, []).append(place)
        return shards

    def _from_shard(self, node: Any, calls: Sequence[RoomCall], run: Run) -> Sequence[Reply]:
        began_s = time.monotonic()
        if self._pauses.is_paused(node.name, began_s):
            return [self._shard_away(node.name, "to be tried again soon")] * len(calls)
        replies = run(self.client.get_redis_connection(node), calls)
        first = replies[0]
        if isinstance(first, str) or not isinstance(as_store_error(first, self._url), StoreAway):
            self._pauses.answered(node.name)
            return replies
        self._look_for_successor(calls[0].room)
        self._pauses.failed(node.name, began_s, time.monotonic())
        return [self._shard_away(node.name, str(first))] * len(calls)

    def _look_for_successor(self, room: str) -> None:
        """A command by the Cluster's own client: where it fails, that learns the nodes anew."""
        with contextlib.suppress(*failures()):
            self.client.get(redis_keys.forgotten(room))

    def _shard_away(self, node: str, why: str) -> StoreAway:
        """Where no shard answers, that is told as the whole Redis away."""
        shards = [one.name for one in self.client.get_primaries()]
        nobody = self._pauses.all_paused({node, *shards}, time.monotonic())
        return (StoreAway if nobody else ShardAway)(f"Redis node {node} does not answer: {why}")
