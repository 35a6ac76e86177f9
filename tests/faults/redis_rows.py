"""Redis away, empty, refusing, full, slow, or cut off in mid-answer; all under load."""

import random
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import redis

from deploy.redis_access import write_redis_access
from tests.end_to_end.site import Component, Line, acknowledged, select_for, until
from tests.faults import controls
from tests.faults.checker import judge
from tests.faults.plant import (
    AGGREGATOR,
    CHEAP,
    DURABLE,
    FaultSite,
    Frame,
    at,
    first_after,
    first_counted,
    ids,
)
from tests.faults.proxy import FaultProxy
from tests.redis_server import free_port
from tests.rows import Outcome, Row, Skipped, Trial

# A script that Redis does not know stays unknown.
_NEVER_LOADED: Final = {
    AGGREGATOR: """
from aggregator import store
store._is_to_be_repeated = lambda reply: False
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
        first, then = "local problem = wrong_type()", "local hash, cameras = read_live()"
        assert first in text and then in text
        text = text.replace(first, "local problem")
        text = text.replace(then, "mark_seen(letters)" + chr(10) + then)
    return text
Path.read_text = _hasty
"""
}

# The file with the password is read once, when the process starts.
_READS_THE_PASSWORD_ONCE: Final = {
    AGGREGATOR: """
import functools
from aggregator import redis_access
redis_access.read_password = functools.cache(redis_access.read_password)
"""
}


@dataclass
class Kitchen:
    """An aggregator, a worker, and a camera in each of two rooms; `seconds` is a fault's length."""

    site: FaultSite
    seconds: float
    reports: str
    aggregator: Component
    worker: Component
    cameras: list[Component]

    @property
    def workers(self) -> Callable[[], list[Component]]:
        return lambda: [self.worker]

    def load(self) -> None:
        """Waits until results are counted, in both rooms."""
        since = time.time()
        both = {"a", "c"}
        until(lambda: {who for who, _, _ in self.counted(since)} == both, "both count", 90.0)

    def counted(self, since: float = 0.0) -> set[Frame]:
        """Results acknowledged since then."""
        lines = (line for line in self.worker.lines("acknowledged") if at(line) >= since)
        return {ids(line) for line in lines if line["outcome"] in ("committed", "duplicate")}

    def notices(self, since: float) -> None:
        """Waits until the aggregator has said that Redis is lost."""
        first_after(lambda: [self.aggregator], "redis lost", since)

    def back_s(self, healed: float) -> float:
        """From then until a new result is counted."""
        return first_counted(self.workers, healed) - healed

    def settle(self) -> list[str]:
        """Ends all in the order of the flow; what was not as it should be."""
        flow = [*self.cameras, self.worker, self.aggregator]
        codes = [one.stop() for one in flow]
        analysed = {ids(line) for line in self.worker.lines("analysed")}
        missing = analysed - acknowledged([self.worker])
        wrong = [f"exit codes {codes}"] if any(codes) else []
        return wrong + ([f"{len(missing)} results were never counted"] if missing else [])


@contextmanager
def kitchen(
    trial: Trial,
    control: dict[str, str],
    *options: str,
    redis: Mapping[str, str] = DURABLE,
    away: bool = False,
) -> Iterator[Kitchen]:
    """`options` are the aggregator's, `redis` those of Redis; with `away` it is not there when
    the aggregator starts."""
    preludes = {} if trial.protected else control
    with FaultSite(trial.folder, preludes, **redis) as site:
        if away:
            site.redis.stop()
        reports, frames = site.address(), site.address()
        aggregator = site.aggregator(reports, *options)
        worker = site.worker(frames, reports, *CHEAP)
        cameras = [
            site.camera(name, room, "simulated", frames, "--rate-hz", "8")
            for name, room in (("a", "den"), ("c", "hall"))
        ]
        yield Kitchen(site, 2.0 if trial.quick else 10.0, reports, aggregator, worker, cameras)


# A fault that is put on Redis and taken off again


Fault = Callable[[redis.Redis], object]


def while_it(hurt: Fault, heal: Fault, control: dict[str, str]) -> Callable[[Trial], Outcome]:
    """A row in which Redis itself is told to refuse, and told to stop that."""

    def run(trial: Trial) -> Outcome:
        with kitchen(trial, control) as room:
            backs = []
            for _ in range(trial.times):
                room.load()
                with room.site.redis.client() as client:
                    began = time.time()
                    hurt(client)
                    if trial.protected:
                        room.notices(began)
                    select_for(room.seconds)
                    held = room.counted(began + 1.0) if trial.protected else set()
                    heal(client)
                backs.append(room.back_s(time.time()))
                assert not held, f"{len(held)} results were counted all the same"
            wrong = room.settle()
            return judge(room.site).outcome(recovery_s=max(backs), wrong="; ".join(wrong))

    return run


def no_memory(client: redis.Redis) -> None:
    client.config_set("maxmemory", 1_000_000)


# Away


def away(trial: Trial) -> Outcome:
    seconds = 4.0 if trial.quick else 60.0
    with kitchen(trial, controls.ACKNOWLEDGED_BEFORE_COMMIT) as room:
        room.load()
        room.site.redis.kill()
        select_for(seconds)
        room.site.redis.start()
        back_s = room.back_s(time.time())
        wrong = room.settle()
        lost, back = (len(room.aggregator.lines(f"redis {word}")) for word in ("lost", "back"))
        if trial.protected and (lost, back) != (1, 1):
            wrong.append(f"said {lost} times that Redis is lost, {back} times that it is back")
        return judge(room.site).outcome(
            recovery_s=back_s, wrong="; ".join(wrong), detail=f"away for {seconds:g} s"
        )


def away_at_start(trial: Trial) -> Outcome:
    control = controls.ACKNOWLEDGED_BEFORE_COMMIT
    with kitchen(trial, control, away=True) as room:
        room.aggregator.wait_for("redis lost")
        until(lambda: len(room.worker.lines("analysed")) > 5, "frames are analysed meanwhile")
        select_for(room.seconds)
        room.site.redis.start()
        back_s = room.back_s(time.time())
        wrong = room.settle()
        return judge(room.site).outcome(recovery_s=back_s, wrong="; ".join(wrong))


def back_empty(trial: Trial) -> Outcome:
    """A Redis that keeps nothing on disk is killed: what it held is gone, and nothing else."""
    with kitchen(trial, controls.ACKNOWLEDGED_BEFORE_COMMIT, redis={}) as room:
        backs, gone, ended = [], set[Frame](), 0.0
        for _ in range(trial.times):
            room.load()
            room.site.redis.kill()
            select_for(1.0)  # Acks under way arrive
            gone |= room.counted()
            select_for(room.seconds)
            gone |= set() if trial.protected else room.counted()
            ended = time.time()
            room.site.redis.start()
            backs.append(room.back_s(ended))
        wrong = room.settle()
        verdict = judge(room.site)
        kept = room.counted() - gone if trial.protected else room.counted(ended)
        verdict.lost, verdict.notes = _missing(room, kept), []
        return verdict.outcome(
            recovery_s=max(backs), wrong="; ".join(wrong),
            detail=f"{len(gone)} results went with it, {len(kept)} came after",
        )  # fmt: skip


def _missing(room: Kitchen, frames: set[Frame]) -> int:
    rooms = {"a": "den", "c": "hall"}
    with room.site.redis.client() as client:
        return sum(
            not client.getbit(
                f"roommood:{{{rooms[camera]}}}:seen:{camera}:{boot}:{seq // 4096}", seq % 4096
            )
            for camera, boot, seq in frames
        )


# Refusing


def wrong_password(trial: Trial) -> Outcome:
    """The writer's password is changed in Redis; its file some time later."""
    access = write_redis_access(trial.folder / "access")
    writer = next(
        line.split() for line in access.acl.read_text().splitlines() if "user writer" in line
    )
    port = free_port()
    login = ("--redis", f"redis://writer@127.0.0.1:{port}/0")
    options = (*login, "--redis-password-file", str(access.writer_password))
    acl = trial.folder / "users.acl"
    acl.write_text("user default on nopass ~* &* +@all\n" + " ".join(writer) + "\n")
    redis_options = {**DURABLE, "aclfile": str(acl), "port": str(port)}
    with kitchen(trial, _READS_THE_PASSWORD_ONCE, *options, redis=redis_options) as room:
        backs = []
        for number in range(trial.times):
            room.load()
            password, began = f"new-password-{number}", time.time()
            with room.site.redis.client() as client:
                client.execute_command("ACL", "SETUSER", "writer", "resetpass", f">{password}")
                client.client_kill_filter(user="writer")
            room.notices(began)
            select_for(room.seconds)
            access.writer_password.write_text(f"{password}\n")
            backs.append(room.back_s(time.time()))
        wrong = room.settle()
        if "password-" in room.aggregator.log.read_text().replace("--redis-password-file", ""):
            wrong.append("a password is in the log")
        return judge(room.site).outcome(recovery_s=max(backs), wrong="; ".join(wrong))


def disk_full(trial: Trial) -> Outcome:
    """Redis' append-only file on a small disk that fills up, and is made room on."""
    with _small_disk(trial.folder / "disk") as disk:
        options = {"appendonly": "yes", "appendfsync": "everysec", "dir": str(disk)}
        # What would switch the protection off: acknowledge what Redis refuses.
        with kitchen(trial, controls.ACKNOWLEDGED_BEFORE_COMMIT, redis=options) as room:
            backs = []
            for _ in range(trial.times):
                room.load()
                filler, began = disk / "filler", time.time()
                _fill(filler)
                if trial.protected:
                    room.notices(began)
                select_for(room.seconds)
                filler.unlink()
                backs.append(room.back_s(time.time()))
            wrong = room.settle()
            room.site.redis.stop()
            room.site.redis.start()  # from what is on the disk
            return judge(room.site).outcome(recovery_s=max(backs), wrong="; ".join(wrong))


@contextmanager
def _small_disk(place: Path) -> Iterator[Path]:
    place.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        raise Skipped("mounting a small disk needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False)


def _fill(path: Path) -> None:
    try:
        with path.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
    except OSError:
        return


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
        wrong = room.settle()
        return judge(room.site).outcome(
            recovery_s=max(0.0, back_s), wrong="; ".join(wrong), detail=f"{flushes} times"
        )


def wrong_type(trial: Trial) -> Outcome:
    """One room's bucket is something else for a while; the other room is counted all the time."""
    with kitchen(trial, _WRITES_BEFORE_IT_LOOKS) as room:
        backs, gaps = [], []
        for _ in range(trial.times):
            room.load()
            with room.site.redis.client() as client:
                key = max(client.scan_iter("roommood:{den}:1m:*"))
                client.rename(key, "aside")
                client.set(key, "no hash")
                client.set("roommood:camera:c", "no hash")  # health is of no account either
                client.copy(key, f"roommood:{{den}}:1m:{int(key.rpartition(':')[2]) + 60}")
                began = time.time()
                first_after(lambda: [room.aggregator], "room not written", began)
                select_for(room.seconds)
                gaps.append(_longest_pause(room, "c", began))
                client.delete("roommood:camera:c")
                client.rename("aside", key)
                client.delete(f"roommood:{{den}}:1m:{int(key.rpartition(':')[2]) + 60}")
            healed = time.time()
            backs.append(_first_of(room, "a", healed) - healed)
        wrong = room.settle()
        if max(gaps) > 2.0:
            wrong.append(f"the other room waited for {max(gaps):.1f} s")
        return judge(room.site).outcome(
            recovery_s=max(backs), wrong="; ".join(wrong),
            detail=f"the other room's longest pause {max(gaps):.2f} s",
        )  # fmt: skip


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
    moments = [since, *(at(line) for line in _of(room, camera, since)), time.time()]
    return max(later - earlier for earlier, later in pairwise(moments))


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
        backs = []
        for _ in range(trial.times):
            room.load()
            began = time.time()
            proxy.down.latency_s = 5.0
            room.notices(began)
            select_for(2 * room.seconds)
            proxy.heal()
            backs.append(room.back_s(time.time()))
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
            before = proxy.connections
            _until_connected_again(proxy, before)
            proxy.down.cut_after = None
            backs.append(room.back_s(time.time()))
            trial.note("cut", number=number, back_s=backs[-1])
        return _with_duplicates(trial, room, backs)


def _until_connected_again(proxy: FaultProxy, before: int) -> None:
    until(lambda: proxy.connections > before, "it connects again")


def _with_duplicates(trial: Trial, room: Kitchen, backs: list[float]) -> Outcome:
    wrong = room.settle()
    lines = room.worker.lines("acknowledged")
    duplicates = sum(line["outcome"] == "duplicate" for line in lines)
    if trial.protected and not duplicates:
        wrong.append("nothing was found to be a duplicate: the moment was missed")
    return judge(room.site).outcome(
        recovery_s=max(backs), wrong="; ".join(wrong), detail=f"{duplicates} results came twice"
    )


_ACK: Final = "acknowledgement after the commit"
_SEEN: Final = "the seen bits"
_GROUP: Final = "Redis"
ROWS: Final = (
    Row("redis-away", "Redis away for 60 s", away, _GROUP, control=_ACK, recover_within_s=3.0),
    Row(
        "redis-away-at-start", "Redis away when all else starts", away_at_start, _GROUP,
        control=_ACK, recover_within_s=3.0,
    ),
    Row(
        "redis-back-empty", "Redis back empty: only what was acknowledged before is gone",
        back_empty, _GROUP, times=3, control=_ACK, recover_within_s=3.0,
    ),
    Row(
        "redis-read-only", "Redis becomes a read-only replica",
        while_it(
            lambda client: client.replicaof("127.0.0.1", free_port()),
            lambda client: client.replicaof("NO", "ONE"),
            controls.ACKNOWLEDGED_BEFORE_COMMIT,
        ),
        _GROUP, times=3, control=_ACK, recover_within_s=3.0,
    ),
    Row(
        "redis-no-replicas", "Redis lacks the replicas that it wants (min-replicas-to-write)",
        while_it(
            lambda client: client.config_set("min-replicas-to-write", 1),
            lambda client: client.config_set("min-replicas-to-write", 0),
            controls.ACKNOWLEDGED_BEFORE_COMMIT,
        ),
        _GROUP, times=3, control=_ACK, recover_within_s=3.0,
    ),
    Row(
        "redis-out-of-memory", "Redis out of memory (maxmemory, noeviction)",
        while_it(
            no_memory, lambda client: client.config_set("maxmemory", 0),
            controls.ACKNOWLEDGED_BEFORE_COMMIT,
        ),
        _GROUP, times=3, control=_ACK, recover_within_s=3.0,
    ),
    Row(
        "redis-wrong-password", "the writer's password is changed in Redis, later in its file",
        wrong_password, _GROUP, times=3, control="reading the file for each connection",
        recover_within_s=3.0,
    ),
    Row(
        "redis-disk-full", "the disk of Redis' append-only file is full", disk_full, _GROUP,
        times=3, control=_ACK, recover_within_s=3.0,
    ),
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
        recover_within_s=5.0,
    ),
    Row(
        "redis-reply-cut-off", "the connection to Redis ends before the answer", reply_cut_off,
        _GROUP, times=20, quick_times=4, control=_SEEN, control_times=6, recover_within_s=3.0,
    ),
)  # fmt: skip
