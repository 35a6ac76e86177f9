"""Full load for an hour: memory, descriptors and threads stay flat, Redis grows as it should.

    python -m tests.faults.soak [--minutes 60] [--json build/soak.json]     (`make soak`)

Four cameras ask more of two workers than they can do. In the first minute the aggregator is
stopped for some seconds, so that it has had a backlog to take in before its memory is looked at:
CPython's allocator keeps the megabyte that one takes. Each process is looked at every 10 s; its
memory must not grow by more than 2 % of what it was after 2 minutes, its descriptors not at all.
(It may shrink: the kernel takes pages of files back. What is the process' own stands beside, as
anonymous memory.) Threads that look names up come and go, MAX_LOOKUPS at most: the fewest threads
in five minutes must not grow.
Redis must hold the keys that the retention of `aggregator/redis/keys.py` gives and no more, and use
the bytes that these take, within 5 %: nothing else may grow.
"""

import argparse
import json
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis

from roommood.aggregator.redis.keys import RESOLUTIONS
from roommood.shared.protocol.limits import MAX_LOOKUPS, SEEN_BITS
from tests.end_to_end.site import Component, select_for, until
from tests.faults.plant import FaultSite
from tests.rows import ROOT

ROOMS: Final = {"a": "den", "b": "den", "c": "hall", "d": "attic"}
LOOK_EVERY_S: Final = 10.0
WARM_UP_S: Final = 120.0
_STALL_S: Final = 8.0
# Five minutes of looks: in them each thread that only waits for a name to look up has ended.
_STAY_LOOKS: Final = 30
MEMORY_BAR: Final = 0.02
REDIS_BAR: Final = 0.05
_SUMMED: Final = ("keys", "bytes")
# What MEMORY USAGE leaves out of a key that expires: its entry in the table of expiries, 24 bytes
# allotted as 32, and a slot of 8 bytes in each of two tables that double as they fill.
_EXPIRY_BYTES: Final = 32 + 2 * 12


@dataclass
class Look:
    """What one process used at one moment."""

    after_s: float
    rss_kb: int
    anonymous_kb: int
    descriptors: int
    threads: int


@dataclass
class Watched:
    """One process over the whole run."""

    name: str
    pid: int
    looks: list[Look] = field(default_factory=list)

    def look(self, after_s: float) -> None:
        status = Path(f"/proc/{self.pid}/status").read_text()
        numbers = dict(line.split(":", 1) for line in status.splitlines())
        descriptors = len(os.listdir(f"/proc/{self.pid}/fd"))
        rss_kb, anonymous_kb, swap_kb = (
            int(numbers[name].split()[0]) for name in ("VmRSS", "RssAnon", "VmSwap")
        )
        threads = int(numbers["Threads"])
        self.looks.append(Look(after_s, rss_kb, anonymous_kb + swap_kb, descriptors, threads))

    def summary(self) -> dict[str, Any]:
        """The median of a minute at 2 minutes, that of the last minute, and the largest."""
        early = [look for look in self.looks if WARM_UP_S <= look.after_s < WARM_UP_S + 60]
        late = self.looks[-6:]
        facts: dict[str, Any] = {"name": self.name}
        for what in ("rss_kb", "anonymous_kb", "descriptors", "threads"):
            facts[f"{what}_2min"] = _median(early, what)
            facts[f"{what}_end"] = _median(late, what)
            facts[f"{what}_max"] = max(getattr(look, what) for look in self.looks)
        settled = [look.threads for look in self.looks if look.after_s >= WARM_UP_S]
        facts["threads_stay_2min"] = min(settled[:_STAY_LOOKS])
        facts["threads_stay_end"] = min(settled[-_STAY_LOOKS:])
        facts["memory_growth"] = round(facts["rss_kb_end"] / facts["rss_kb_2min"] - 1, 4)
        return facts


def _median(looks: list[Look], what: str) -> int:
    values = sorted(getattr(look, what) for look in looks)
    return int(values[len(values) // 2])


def soak(folder: Path, minutes: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Runs the load; returns figures and what was not as it should be."""
    with FaultSite(folder) as site:
        site.log_level = "info"
        watched = _start(site)
        began = time.monotonic()
        _make_a_backlog(watched[0].pid)
        redis_2min: dict[str, Any] = {}
        while (after_s := time.monotonic() - began) < minutes * 60:
            select_for(LOOK_EVERY_S - after_s % LOOK_EVERY_S)
            for process in watched:
                process.look(time.monotonic() - began)
            if not redis_2min and after_s >= WARM_UP_S:
                redis_2min = _redis(site)
            if after_s % 300 < LOOK_EVERY_S:
                say(f"{after_s / 60:4.0f} min  " + _line(watched))
        ended_redis = _redis(site)
        facts = [process.summary() for process in watched]
        codes = [component.stop() for component in reversed(site.components)]
        frames = [sum(site.frames(room, name) for name, room in ROOMS.items())]
        wrong = [text for fact in facts for text in wrong_with(fact)]
        wrong += _wrong_with_redis(redis_2min, ended_redis)
        wrong += [f"exit codes {codes}"] if any(codes) else []
        wrong += _tracebacks(site)
        return {
            "minutes": minutes,
            "frames_counted": frames[0],
            "processes": facts,
            "redis_2min": redis_2min,
            "redis_end": ended_redis,
            "wrong": wrong,
            "held": not wrong,
        }


def _start(site: FaultSite) -> list[Watched]:
    reports, frames = site.address(), [site.address() for _ in range(2)]
    aggregator = site.aggregator(reports)
    workers = [site.start_worker(bind, reports, "--drain-s", "30") for bind in frames]
    for worker in workers:
        worker.wait_for("worker ready")
    cameras = [
        site.camera(name, room, "simulated", " ".join(frames), "--rate-hz", "15")
        for name, room in ROOMS.items()
    ]
    until(lambda: all(site.frames(r, n) for n, r in ROOMS.items()), "all cameras are counted", 60)
    named = [("aggregator", aggregator), *_numbered("worker", workers)]
    named += _numbered("camera", cameras)
    watched = [Watched(name, process.process.pid) for name, process in named]
    return [*watched, Watched("redis", _redis_pid(site))]


def _make_a_backlog(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    select_for(_STALL_S)
    os.kill(pid, signal.SIGCONT)


def _numbered(name: str, components: list[Component]) -> list[tuple[str, Component]]:
    return [(f"{name} {number}", component) for number, component in enumerate(components, start=1)]


def _redis_pid(site: FaultSite) -> int:
    with site.redis.client() as client:
        return int(client.info("server")["process_id"])


def _line(watched: list[Watched]) -> str:
    return "  ".join(
        f"{process.name} {process.looks[-1].rss_kb / 1024:.1f} MB" for process in watched
    )


# Redis by its own formula


def _kind(key: str) -> str:
    """10s, 1m, 1h, seen, or the key itself."""
    parts = key.split(":")
    counted = {span.name for span in RESOLUTIONS} | {"seen"}
    return parts[2] if len(parts) > 3 and parts[2] in counted else key


def _redis(site: FaultSite) -> dict[str, Any]:
    """Number and bytes of the keys of each kind; used bytes; the formula's number of keys."""
    numbers: dict[str, int] = {}
    sizes: dict[str, int] = {}
    starts: dict[str, set[int]] = {}
    with site.redis.client() as client:
        for key in set(client.scan_iter("*")):  # some come twice as its table shrinks
            kind = _kind(key)
            numbers[kind] = numbers.get(kind, 0) + 1
            sizes[kind] = sizes.get(kind, 0) + int(client.memory_usage(key, samples=0) or 0)
            if kind in {span.name for span in RESOLUTIONS}:
                starts.setdefault(kind, set()).add(int(key.split(":")[3]))
        slow, used = int(client.slowlog_len()), data_bytes(client)
    return {
        "keys": {kind: numbers.get(kind, 0) for kind in (*(s.name for s in RESOLUTIONS), "seen")},
        "bytes": {kind: sizes.get(kind, 0) for kind in (*(s.name for s in RESOLUTIONS), "seen")},
        "used_bytes": used,
        "slow_commands_forgotten": slow,
        "expected": {**_expected_buckets(starts), "seen": _expected_bitmaps(site)},
        "rooms": len(set(ROOMS.values())),
    }


def data_bytes(client: redis.Redis) -> int:
    """What Redis uses, without the 128 slow commands that it keeps with their arguments."""
    client.slowlog_reset()
    return int(client.info("memory")["used_memory_dataset"])


def _expected_buckets(starts: dict[str, set[int]]) -> dict[str, int]:
    """A bucket for each room and length, from the first to the last; retention is longer."""
    rooms = len(set(ROOMS.values()))
    return {
        span.name: rooms * ((max(held) - min(held)) // span.length_s + 1)
        for span in RESOLUTIONS
        if (held := starts.get(span.name))
    }


def _expected_bitmaps(site: FaultSite) -> int:
    """One for each 4,096 frames that a camera sent."""
    expected = 0
    with site.redis.client() as client:
        for name in ROOMS:
            sent = int(client.hget(f"roommood:camera:{name}", "sent") or 0)
            expected += math.ceil(sent / SEEN_BITS)
    return expected


# What is wrong


def wrong_with(fact: dict[str, Any]) -> list[str]:
    """What in a process' `summary` is not as it should be."""
    wrong = []
    if fact["name"] != "redis" and fact["memory_growth"] > MEMORY_BAR:
        wrong.append(f"{fact['name']}: memory {fact['memory_growth']:+.1%} since minute 2")
    if fact["descriptors_end"] != fact["descriptors_2min"]:
        wrong.append(f"{fact['name']}: {fact['descriptors_end']} descriptors")
    stay = fact["threads_stay_2min"]
    if fact["threads_stay_end"] > stay or fact["threads_max"] > stay + MAX_LOOKUPS:
        wrong.append(f"{fact['name']}: {fact['threads_max']} threads, {stay} at first")
    return wrong


def _wrong_with_redis(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    wrong = []
    for kind, expected in after["expected"].items():
        # A bucket or bitmap may begin between the counting of one kind and the next; a room of
        # which nothing was analysed for 10 s has no bucket for them.
        overcommit = after["rooms"] if kind != "seen" else len(ROOMS)
        if (
            not expected * (1 - REDIS_BAR) - overcommit
            <= after["keys"][kind]
            <= expected + overcommit
        ):
            wrong.append(f"redis: {after['keys'][kind]} keys of {kind}, {expected} expected")
    more = {what: sum(after[what].values()) - sum(before[what].values()) for what in _SUMMED}
    predicted = before["used_bytes"] + more["bytes"] + more["keys"] * _EXPIRY_BYTES
    after["predicted_bytes"] = predicted
    if abs(after["used_bytes"] / predicted - 1) > REDIS_BAR:
        wrong.append(f"redis: {after['used_bytes']} bytes, {predicted} predicted")
    return wrong


def _tracebacks(site: FaultSite) -> list[str]:
    logs = [component.log for component in site.components]
    return [f"a traceback in {log.name}" for log in logs if "Traceback" in log.read_text()]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="at least 4")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "soak.json")
    given = parser.parse_args()
    if given.minutes < 4:
        parser.error("at least 4 minutes: memory is compared with that after 2")
    with tempfile.TemporaryDirectory(prefix="roommood-soak-") as folder:
        facts = soak(Path(folder), given.minutes, lambda text: print(text, flush=True))
    given.json.parent.mkdir(exist_ok=True)
    given.json.write_text(json.dumps(facts, indent=2) + "\n")
    print(json.dumps(facts, indent=2))
    return 0 if facts["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
