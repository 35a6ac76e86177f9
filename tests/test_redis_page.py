"""What docs/redis.md prints is run as it stands; keys and fields are as it says."""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.stats.room_stats import RoomStats
from roommood.shared.clock import wall_ms
from roommood.shared.protocol.emotions import EXPRESSIONS
from tests.aggregator.made import delivery, face, only, result
from tests.ports import free_port
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/redis.md").read_text()
LINES = re.findall(r"^redis-cli (.+)$", (ROOT / "README.md").read_text() + PAGE, re.MULTILINE)
# Options of redis-cli with a value; the others have none.
WITH_VALUE = ("--user", "--cacert", "-h", "-p")


@pytest.fixture
def rooms() -> Iterator[RedisServer]:
    """A kitchen with two faces, a hall with nobody, a den with a face that is not sure."""
    with RedisServer(port=str(free_port())) as server:
        store, now_ms = Store(server.url), wall_ms()
        store.check_schema()
        each = {
            "kitchen": (face(only("happiness")), face()),
            "hall": (),
            "den": (face(sure=False),),
        }
        for room, faces in each.items():
            frame = result(0, *faces, room=room, camera=f"{room}-1")
            store.commit([delivery(frame, now_ms - 50)], now_ms)
        store.touch_rooms(dict.fromkeys(each, now_ms))
        store.write_health({"kitchen-1": {"room": "kitchen", "source": "ok"}}, {}, now_ms)
        store.close()
        yield server


def command_of(line: str) -> list[str]:
    words = shlex.split(line, comments=True)
    while words[0].startswith("-"):
        if words[0] == "--scan":
            return ["SCAN", "0", "MATCH", words[2]]
        words = words[2:] if words[0] in WITH_VALUE else words[1:]
    return words


def table(heading: str) -> list[str]:
    """The first cells of the first table under a heading."""
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)


@pytest.mark.parametrize("line", LINES)
def test_every_line_of_redis_cli_is_answered(rooms: RedisServer, line: str) -> None:
    command = command_of(line)
    start_s = str(int(wall_ms() // 3_600_000 * 3_600))
    words = [re.sub(r"(:1h:)\d+$", rf"\g<1>{start_s}", word) for word in command]
    with redis.Redis.from_url(rooms.url, protocol=2, decode_responses=True) as client:
        answer = client.execute_command(*words)
    assert answer not in ({}, [], None) or command[0] == "SISMEMBER", words


def test_the_fields_of_the_page_are_those_of_the_hash_and_of_a_message(rooms: RedisServer) -> None:
    cells = " ".join(table("The room now")).replace("`share:<expression>`", "")
    named = {*re.findall(r"`(\w+)`", cells), *(f"share:{name}" for name in EXPRESSIONS)}
    with rooms.client() as client, client.pubsub() as updates:
        there = set(client.hgetall(redis_keys.live("kitchen")))
        updates.subscribe(redis_keys.updates("kitchen"))
        store, now_ms = Store(rooms.url), wall_ms() + 1_000
        store.commit([delivery(result(1, face(), camera="kitchen-1"), now_ms)], now_ms)
        store.close()
        each = iter(lambda: updates.get_message(timeout=20), None)
        fields = next(json.loads(heard["data"]) for heard in each if heard["type"] == "message")
    assert named == there - {"camera:kitchen-1", "published_ms"}
    section = PAGE.split("## Each change", 1)[1].split("as above", 1)[0]
    assert set(re.findall(r"`(\w+)`", section)) == set(fields)


def test_the_python_of_the_page_tells_nobody_from_nothing_known(rooms: RedisServer) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    space: dict[str, Any] = {"print": lambda *_: None}
    exec(block.replace("redis://127.0.0.1:6379/0", rooms.url), space)
    mood: Callable[[str], object] = space["mood"]
    assert mood("kitchen") == (2.0, "happiness")
    assert mood("hall") == (0.0, None)
    assert mood("den") == (1.0, None)
    assert mood("attic") is None
    with rooms.client() as client:
        client.expire(redis_keys.live("kitchen"), 3_600)  # as Redis' clock set back leaves it
    assert mood("kitchen") is None


def test_the_past_is_reckoned_from_the_counters_as_the_page_says(rooms: RedisServer) -> None:
    with rooms.client() as client:
        (key,) = client.scan_iter("roommood:{kitchen}:1h:*")
        counted = {field: int(text) for field, text in client.hgetall(key).items()}
    with RoomStats(rooms.url) as stats:
        hour = stats.summary("kitchen", timedelta(hours=1))
    assert counted["face_us:kitchen-1"] / counted["observed_us:kitchen-1"] == hour.people
    us = {field: n for field, n in counted.items() if field.startswith("us:")}
    for expression in EXPRESSIONS:
        part = sum(n for field, n in us.items() if field.endswith(f":{expression}"))
        assert part / sum(us.values()) == pytest.approx(hour.shares[expression].raw)


def test_the_login_for_one_room_reads_that_room_alone(rooms: RedisServer) -> None:
    (line,) = [line for line in LINES if line.startswith("ACL SETUSER")]
    with rooms.client() as client:
        client.execute_command(*command_of(line))
    login = {"username": "lamp", "password": "a long password", "decode_responses": True}
    with redis.Redis.from_url(rooms.url, **login) as lamp:
        assert lamp.hget(redis_keys.live("kitchen"), "dominant") == "happiness"
        with lamp.pubsub() as updates:
            updates.subscribe(redis_keys.updates("kitchen"))
            assert updates.get_message(timeout=20)["type"] == "subscribe"
        refused: list[Callable[[], object]] = [
            lambda: lamp.hgetall(redis_keys.live("hall")),
            lambda: lamp.hset(redis_keys.live("kitchen"), "people", 9),
        ]
        for call in refused:
            with pytest.raises(redis.exceptions.NoPermissionError):
                call()
