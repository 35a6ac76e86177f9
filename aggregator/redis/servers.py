"""The servers behind a Redis URL: one, or the shards of a Cluster. All of roommood asks here.

A Cluster's own pipeline takes no scripts and fails as a whole, so each shard is asked by itself.
One that gives no answer is left alone for a while (`redis.shards`): what lies on other shards does
not wait for it, neither for whoever writes nor for whoever reads.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.client import connect, connector
from roommood.aggregator.redis.cluster_map import ClusterMap, name_of
from roommood.aggregator.redis.failures import (
    as_store_error,
    failures,
    is_of_wrong_server,
    key_damaged,
    translated,
    with_advice,
)
from roommood.aggregator.redis.shards import ShardPauses
from roommood.aggregator.redis.url import DEFAULT_URL, parse_url
from roommood.shared.errors import ConfigError, KeyDamaged, ShardAway, StoreAway, StoreError

_KEYS_PER_SCAN: Final = 500
# Milliseconds for which a replica's confirmation is waited for; seconds until a master that nobody
# follows is asked again whether somebody does.
REPLICA_MS: Final = 1_000
ALONE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Command:
    """Something that concerns one key: `call(client, key)`, on a client or its pipeline."""

    key: str
    call: Callable[[Any, str], Any]


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """A call of a script by its digest, and the same with all of it, for a server that does not
    know it."""

    by_digest: Command
    whole: Command


class Servers:
    """Connections, made when first used. Not for use by two threads at once.

    What a server refuses or does not answer comes as a StoreError in the place of its reply;
    SchemaMismatch is nobody's affair here.
    """

    def __init__(self, redis: Any = DEFAULT_URL, password_file: Path | None = None) -> None:
        """`redis` is a URL as in `redis.url`, or a redis-py client with decode_responses.

        Raises ConfigError for a URL or file that cannot be used.
        """
        if not isinstance(redis, str):
            _require_texts(redis)
        self.url = redis if isinstance(redis, str) else _address_of(redis)
        parsed = parse_url(self.url)
        self._single: Any = redis
        self._map: ClusterMap | None = None
        if isinstance(redis, str) and parsed.is_cluster:
            self._map = ClusterMap(parsed.hosts, connector(parsed, password_file))
        elif isinstance(redis, str):
            self._single = connect(redis, password_file)
        self._pauses = ShardPauses()
        self._why_away: dict[str, str] = {}
        self._has_sentinels = parsed.has_sentinels
        self._alone_until_s = 0.0

    def close(self) -> None:
        (self._single if self._map is None else self._map).close()

    @property
    def is_cluster(self) -> bool:
        return self._map is not None

    @property
    def away(self) -> frozenset[str]:
        """Nodes of a Cluster, as host:port, that gave no answer when last tried."""
        return self._pauses.failing

    # Asking

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """A reply or a StoreError for each command, in one round trip to each server."""
        replies = self._translated(self._ask(commands))
        each = zip(commands, replies, strict=True)
        return [key_damaged(command.key, reply) or reply for command, reply in each]

    def _translated(self, replies: Sequence[Any]) -> list[Any]:
        return [
            as_store_error(reply, self.url) if isinstance(reply, Exception) else reply
            for reply in replies
        ]

    def demand(self, commands: Sequence[Command]) -> list[Any]:
        """The same, where each reply is needed: raises the first StoreError."""
        replies = self.ask(commands)
        raise_first(replies)
        return replies

    def ask_living(self, commands: Sequence[Command]) -> list[Any]:
        """The same, where some may be missing: what a lost shard keeps comes as ShardAway, what
        is of another kind as KeyDamaged.

        Any other StoreError is raised, StoreAway where no server answers.
        """
        replies, missing = self.ask(commands), (ShardAway, KeyDamaged)
        raise_first([reply for reply in replies if not isinstance(reply, missing)])
        return replies

    def on_copies(self, key: str, call: Callable[[Any, str], Any]) -> list[Any]:
        """A reply or a StoreError of each copy of a key that belongs to no room."""
        return self.ask(self.of_copies(key, call))

    def from_copies(self, key: str, call: Callable[[Any, str], Any]) -> list[Any]:
        """What those copies say that answer. Raises StoreError where none does."""
        replies = self.on_copies(key, call)
        known = [reply for reply in replies if not isinstance(reply, StoreError)]
        if not known:
            raise_first(replies)
        return known

    def of_copies(self, key: str, call: Callable[[Any, str], Any]) -> list[Command]:
        return [Command(copy, call) for copy in redis_keys.copies(key, self.is_cluster)]

    def run_script(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """A reply or a StoreError for each call. A server that forgot the script is told again."""
        replies = self._replicated([call.by_digest for call in calls])
        again = [place for place, reply in enumerate(replies) if _is_unknown_script(reply)]
        confirmed = self._replicated([calls[place].whole for place in again])
        for place, reply in zip(again, confirmed, strict=True):
            replies[place] = reply
        return self._translated(replies)

    def _replicated(self, commands: Sequence[Command]) -> list[Any]:
        """With sentinels a command counts as answered when a replica, if one follows, has it too:
        it may be the master a moment later."""
        if not (self._has_sentinels and commands) or time.monotonic() < self._alone_until_s:
            return self._ask(commands)
        wait = Command("", lambda client, _: client.execute_command("WAIT", 1, REPLICA_MS))
        *replies, replicas = self._ask([*commands, wait])
        if isinstance(replicas, int) and replicas == 0:
            replicas = self._without_replica()
        return [replicas] * len(replies) if isinstance(replicas, Exception) else replies

    def _without_replica(self) -> StoreAway | int:
        """Why nothing counts as answered; 0 where no replica follows, so that none can."""
        (followed,) = self.of_each(lambda client: client.info("replication"))
        if int(followed["connected_slaves"]):
            return StoreAway(f"no replica of {self.url} has confirmed within {REPLICA_MS} ms")
        self._alone_until_s = time.monotonic() + ALONE_S
        return 0

    def client_of(self, key: str) -> Any:
        """A client of the server that keeps a key. Raises StoreError."""
        if self._map is None:
            return self._single
        with translated(self.url):
            self._learn_if_new()
            return self._map.client(self._map.node_of(key))

    def walk(self, pattern: str) -> Iterator[list[str]]:
        """All keys that match, some at a time. Raises StoreError, also where any shard is away."""
        with translated(self.url):
            for client in self._all():
                cursor = None
                while cursor != 0:
                    cursor, keys = client.scan(cursor or 0, match=pattern, count=_KEYS_PER_SCAN)
                    yield keys

    def of_each(self, ask: Callable[[Any], Any]) -> list[Any]:
        """What the servers say that answer. Raises StoreError where none does."""
        with translated(self.url):
            clients, answers = self._all(), []
        for client in clients:
            try:
                answers.append(ask(client))
            except failures() as error:
                refused = as_store_error(error, self.url)
        if not answers:
            raise refused
        return answers

    def any_client(self) -> Any:
        """A client of some server that may answer: for channels, which a Cluster's nodes share."""
        if self._map is None:
            return self._single
        with translated(self.url):
            return self._map.client(self._map.learn(self.away))

    # One server

    def _ask(self, commands: Sequence[Command]) -> list[Any]:
        if not commands:
            return []
        if self._map is None:
            return self._pipelined(self._single, commands)
        replies: list[Any] = [None] * len(commands)
        for node, places in self._by_shard(self._map, commands, replies).items():
            answers = self._from_shard(self._map, node, [commands[place] for place in places])
            for place, reply in zip(places, answers, strict=True):
                replies[place] = reply
        return replies

    def _pipelined(self, client: Any, commands: Sequence[Command]) -> list[Any]:
        """All in one round trip. A server that is the wrong one by now is connected to anew."""
        try:
            with client.pipeline(transaction=False) as pipe:
                for command in commands:
                    command.call(pipe, command.key)
                replies: list[Any] = pipe.execute(raise_on_error=False)
        except failures() as error:
            replies = [error] * len(commands)
        if any(isinstance(reply, Exception) and is_of_wrong_server(reply) for reply in replies):
            leave_wrong_server(client)
        return replies

    # The shards of a Cluster

    def _by_shard(
        self, cluster: ClusterMap, commands: Sequence[Command], replies: list[Any]
    ) -> dict[str, list[int]]:
        """Places of the commands by node; why not in `replies` for those that have none."""
        shards: dict[str, list[int]] = {}
        for place, command in enumerate(commands):
            try:
                self._learn_if_new()
                shards.setdefault(cluster.node_of(command.key), []).append(place)
            except failures() as error:
                replies[:] = [_cluster_away(self.url, error)] * len(replies)
                return {}
            except ShardAway as error:
                replies[place] = error
        return shards

    def _learn_if_new(self) -> None:
        if self._map is not None and not self._map.is_known:
            self._map.learn()

    def _from_shard(
        self, cluster: ClusterMap, node: str, commands: Sequence[Command]
    ) -> Sequence[Any]:
        began_s = time.monotonic()
        if self._pauses.is_paused(node, began_s):
            return [self._shard_away(cluster, node, self._why_away[node])] * len(commands)
        replies = self._pipelined(cluster.client(node), commands)
        if not self._is_away(replies[0]):
            self._pauses.answered(node)
            return self._followed(cluster, commands, replies)
        self._pauses.failed(node, began_s, time.monotonic())
        self._why_away[node] = with_advice(replies[0])
        self._look_for_successors(cluster)
        return [self._shard_away(cluster, node, self._why_away[node])] * len(commands)

    def _is_away(self, reply: Any) -> bool:
        error = as_store_error(reply, self.url) if isinstance(reply, Exception) else None
        return isinstance(error, StoreAway)

    def _look_for_successors(self, cluster: ClusterMap) -> None:
        try:
            cluster.learn(self.away)
        except failures():
            return  # nobody answers: all of them are paused

    def _followed(
        self, cluster: ClusterMap, commands: Sequence[Command], replies: Sequence[Any]
    ) -> list[Any]:
        """Asks again where the keys have moved to, or are moving to."""
        from redis.exceptions import AskError, MovedError

        if any(isinstance(reply, MovedError) for reply in replies):
            self._look_for_successors(cluster)
        return [
            self._at(cluster, command, reply) if isinstance(reply, AskError) else reply
            for command, reply in zip(commands, replies, strict=True)
        ]

    def _at(self, cluster: ClusterMap, command: Command, moved: Any) -> Any:
        """The reply of the node that MOVED or ASK names."""
        asking = Command(command.key, lambda pipe, _: pipe.execute_command("ASKING"))
        client = cluster.client(name_of(moved.host, moved.port))
        return self._pipelined(client, [asking, command])[1]

    def _shard_away(self, cluster: ClusterMap, node: str, why: str) -> StoreAway:
        """Where no shard answers, that is told as the whole Redis away."""
        nobody = self._pauses.all_paused({node, *cluster.masters}, time.monotonic())
        return (StoreAway if nobody else ShardAway)(f"Redis node {node} does not answer: {why}")

    def _all(self) -> list[Any]:
        if self._map is None:
            return [self._single]
        self._map.learn(self.away)
        return [self._map.client(node) for node in self._map.masters]


def raise_first(replies: Sequence[Any]) -> None:
    """Raises the first StoreError among replies, if there is one."""
    for reply in replies:
        if isinstance(reply, StoreError):
            raise reply


def leave_wrong_server(client: Any) -> None:
    """Closes the idle connections of a client: the next one may reach another server."""
    pool = getattr(client, "connection_pool", None)
    if pool is not None:  # a Cluster's client has one for each node, and looks after them
        pool.disconnect(inuse_connections=False)


def _require_texts(client: Any) -> None:
    """Of bytes every name would be another than ours, and no room would be known."""
    encoder = getattr(client, "get_encoder", None)
    if encoder is not None and not encoder().decode_responses:
        raise ConfigError(
            "this redis-py client answers in bytes: make it with decode_responses=True"
        )
    if hasattr(client, "__aenter__"):
        raise ConfigError("this redis-py client is asyncio's: give a redis.Redis, or a URL")
    if not hasattr(client, "get_connection_kwargs"):
        raise ConfigError(f"{client!r} is no Redis: give a redis.Redis, or a URL")


def _address_of(client: Any) -> str:
    """For messages: where a client that somebody else made goes to."""
    options = client.get_connection_kwargs()
    if "path" in options:
        return f"unix://{options['path']}"
    return f"redis://{options.get('host', 'localhost')}:{options.get('port', 6379)}"


def _cluster_away(url: str, error: Exception) -> StoreError:
    known = as_store_error(error, url)
    return StoreAway(str(known)) if isinstance(known, ShardAway) else known


def _is_unknown_script(reply: Any) -> bool:
    from redis.exceptions import NoScriptError

    return isinstance(reply, NoScriptError)
