"""Redis there, and not as it should be: forgetful, of another type, slow, cut off in mid-answer."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Final

from tests.end_to_end.site import Line, select_for, until
from tests.faults import controls
from tests.faults.kitchen import Kitchen, kitchen
from tests.faults.plant import AGGREGATOR, DURABLE, at, first_after, first_counted, ids
from tests.faults.proxy import FaultProxy
from tests.ports import free_port
from tests.rows import Outcome, Row, Trial

# A script that Redis does not know stays unknown.
_NEVER_LOADED: Final = {
    AGGREGATOR: """
from roommood.aggregator.redis import servers
servers._is_unknown_script = lambda reply: False
"""
}

# The script looks at no type before it writes, and notes what it has seen before it adds up.
_WRITES_BEFORE_IT_LOOKS: Final = {
    AGGREGATOR: """
from pathlib import Path
_read = Path.read_text
def _hasty(self, *args, **kwargs):
    text = _read(self, *args, **kwargs)
    if self.name == "count_once.lua":
        first = "local problem = wrong_type()"
        then = "plan.hash, plan.cameras, plan.ahead = read_live()"
        assert first in text and then in text
        text = text.replace(first, "local problem")
        text = text.replace(then, "mark_seen(letters)" + chr(10) + then)
    return text
Path.read_text = _hasty
"""
}

# Odd


def script_flush(trial: Trial) -> Outcome:
    """Redis forgets its scripts again and again."""
    with kitchen(trial, _NEVER_LOADED) as room:
        with room.site.redis.client() as client:
            if trial.protected:
                room.load()
            end = time.monotonic() + max(3.0, room.seconds)
            flushes = 0
            while time.monotonic() < end:
                client.script_flush()
                flushes += 1
                select_for(0.02)
        back_s = first_counted(room.workers, time.time(), 15.0) - time.time()
        return room.judged([0.0, back_s], room.settle(), f"{flushes} times")


def wrong_type(trial: Trial) -> Outcome:
    """One room's bucket is something else for a while; the other room is counted all the time."""
    with kitchen(trial, _WRITES_BEFORE_IT_LOOKS) as room:
        backs, gaps = [], []
        for _ in range(trial.times):
            room.load()
            with room.site.redis.client() as client:
                key = max(client.scan_iter("roommood:{den}:1m:*"))
                following = f"roommood:{{den}}:1m:{int(key.rpartition(':')[2]) + 60}"
                with client.pipeline() as at_once:  # or something may be counted in between
                    at_once.rename(key, "aside").set(key, "no hash").set(following, "no hash")
                    at_once.set("roommood:camera:c", "no hash")  # health is of no account either
                    at_once.execute()
                began = time.time()
                first_after(lambda: [room.aggregator], "room not written", began)
                select_for(room.seconds)
                gaps.append(_longest_pause(room, "c", began))
                client.delete("roommood:camera:c")
                client.rename("aside", key)
                client.delete(following)
            healed = time.time()
            backs.append(_first_of(room, "a", healed) - healed)
        wrong = room.settle()
        if max(gaps) > 2.0:
            wrong.append(f"the other room waited for {max(gaps):.1f} s")
        return room.judged(backs, wrong, f"the other room's longest pause {max(gaps):.2f} s")


def _of(room: Kitchen, camera: str, since: float) -> list[Line]:
    lines = room.worker.lines("acknowledged")
    return [line for line in lines if line["camera"] == camera and at(line) >= since]


def _first_of(room: Kitchen, camera: str, since: float) -> float:
    """When the first result of a camera that was analysed since then was counted."""
    lines = room.worker.lines("analysed")

    def counted() -> list[float]:
        fresh = {ids(line) for line in room.worker.lines("analysed") if at(line) >= since}
        return [at(line) for line in _of(room, camera, since) if ids(line) in fresh]

    assert lines
    return float(min(until(counted, f"{camera} is counted again", 60.0)))


def _longest_pause(room: Kitchen, camera: str, since: float) -> float:
    times = [since, *(at(line) for line in _of(room, camera, since)), time.time()]
    return max(later - earlier for earlier, later in pairwise(times))


# In between


@contextmanager
def proxied(trial: Trial, control: dict[str, str]) -> Iterator[tuple[Kitchen, FaultProxy]]:
    """The aggregator reaches Redis through a proxy."""
    port = free_port()
    with FaultProxy(f"127.0.0.1:{port}") as proxy:
        options = ("--redis", f"redis://{proxy.address}/0")
        with kitchen(trial, control, *options, redis={**DURABLE, "port": str(port)}) as room:
            yield room, proxy


def slow(trial: Trial) -> Outcome:
    """Each answer comes five seconds late: after the aggregator has given up on it."""
    with proxied(trial, controls.NO_SEEN_BITS) as (room, proxy):

        def delay(_: int) -> None:
            proxy.down.latency_s = 5.0

        backs = room.outages(
            trial, delay, lambda _: proxy.heal(), seconds=2 * room.seconds, notices=True
        )
        return _with_duplicates(trial, room, backs)


def reply_cut_off(trial: Trial) -> Outcome:
    """The connection ends after the command ran and before its answer has come."""
    chance = random.Random(trial.seed)
    with proxied(trial, controls.NO_SEEN_BITS) as (room, proxy):
        backs = []
        for number in range(trial.times):
            room.load()
            select_for(chance.uniform(0.0, 0.5))
            proxy.down.cut_after = proxy.down.passed
            until(partial(_connected_since, proxy, proxy.connections), "it connects again")
            proxy.down.cut_after = None
            backs.append(room.back_s(time.time()))
            trial.note("cut", number=number, back_s=backs[-1])
        return _with_duplicates(trial, room, backs)


def _connected_since(proxy: FaultProxy, before: int) -> bool:
    return proxy.connections > before


def _with_duplicates(trial: Trial, room: Kitchen, backs: list[float]) -> Outcome:
    wrong = room.settle()
    lines = room.worker.lines("acknowledged")
    duplicates = sum(line["outcome"] == "duplicate" for line in lines)
    if trial.protected and not duplicates:
        wrong.append("nothing was found to be a duplicate: the moment was missed")
    return room.judged(backs, wrong, f"{duplicates} results came twice")


_SEEN: Final = "the seen bits"
_GROUP: Final = "Redis"
ROWS: Final = (
    Row(
        "redis-script-flush", "SCRIPT FLUSH fifty times a second", script_flush, _GROUP,
        control="loading the script again",
    ),
    Row(
        "redis-wrong-type", "a key of one room is of another type; the other room goes on",
        wrong_type, _GROUP, times=3, control="all checks before the first write",
        control_tries=2,
    ),
    Row(
        "redis-slow", "every answer of Redis 5 s late", slow, _GROUP, times=3, control=_SEEN,
        control_tries=3, recover_within_s=3.0,  # the late answer may be of no commit
    ),
    Row(
        "redis-reply-cut-off", "the connection to Redis ends before the answer", reply_cut_off,
        _GROUP, times=20, quick_times=4, control=_SEEN, control_times=6, recover_within_s=2.0,
    ),
)  # fmt: skip
