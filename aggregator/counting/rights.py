"""What an aggregator's login must be allowed to do, so that it can be tried before it is needed."""

from collections.abc import Iterator

from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.servers import Command


def all_that_counting_takes(digest: str) -> Iterator[Command]:
    """Each command once, with keys of no room, which are gone at the end; `digest` is the script's,
    which without an argument does nothing."""
    text, fields, ranks, names = map(redis_keys.scratch, ("text", "hash", "ranks", "set"))
    for words in (
        ("MULTI",), ("EXEC",),
        ("SETBIT", text, 0, 1), ("GETBIT", text, 0), ("SET", text, 1), ("GET", text),
        ("EXPIREAT", text, 9_999_999_999), ("EXPIRE", text, 9), ("TYPE", text),
        ("HSET", fields, "a", 1), ("HGETALL", fields), ("HMGET", fields, "a"),
        ("HDEL", fields, "a"),
        ("ZADD", ranks, "GT", 1, "a"), ("ZRANGE", ranks, 0, -1), ("ZREM", ranks, "a"),
        ("SADD", names, "a"), ("SMEMBERS", names), ("SREM", names, "a"),
        ("PUBLISH", text, ""), ("EVAL", "return 1", 1, text), ("EVALSHA", digest, 1, text),
        ("UNLINK", text, fields, ranks, names),
    ):  # fmt: skip
        yield _plain(text, words)


def _plain(key: str, words: tuple[str | int, ...]) -> Command:
    return Command(key, lambda client, _: client.execute_command(*words))
