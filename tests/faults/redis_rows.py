"""Redis away, empty, refusing or full; all under load."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import redis

from roommood.deploy.keys.redis_users import write_redis_access
from tests.end_to_end.site import select_for, until
from tests.faults import controls
from tests.faults.checker import judge
from tests.faults.kitchen import Kitchen, kitchen
from tests.faults.plant import AGGREGATOR, DURABLE, Frame
from tests.ports import free_port
from tests.rows import Outcome, Row, Skipped, Trial

# The file with the password is read once, when the process starts.
_READS_THE_PASSWORD_ONCE: Final = {
    AGGREGATOR: """
import functools
from roommood.aggregator.redis import credentials as redis_access
redis_access.read_password = functools.cache(redis_access.read_password)
"""
}


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
        return room.judged([back_s], wrong, f"away for {seconds:g} s")


def away_at_start(trial: Trial) -> Outcome:
    control = controls.ACKNOWLEDGED_BEFORE_COMMIT
    with kitchen(trial, control, away=True) as room:
        room.aggregator.wait_for("redis lost")
        until(lambda: len(room.worker.lines("analysed")) > 5, "frames are analysed meanwhile")
        select_for(room.seconds)
        room.site.redis.start()
        back_s = room.back_s(time.time())
        return room.judged([back_s], room.settle())


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


Fault = Callable[[redis.Redis], object]


def refusing(hurt: Fault, heal: Fault) -> Callable[[Trial], Outcome]:
    """A row in which Redis itself is told to refuse, and told to stop that."""

    def run(trial: Trial) -> Outcome:
        with kitchen(trial, controls.ACKNOWLEDGED_BEFORE_COMMIT) as room:
            began, held = 0.0, set[Frame]()

            def begin(_: int) -> None:
                nonlocal began
                with room.site.redis.client() as client:
                    began = time.time()
                    hurt(client)

            def end(_: int) -> None:
                held.update(room.counted(began + 1.0) if trial.protected else ())
                with room.site.redis.client() as client:
                    heal(client)

            backs = room.outages(trial, begin, end, seconds=room.seconds, notices=trial.protected)
            assert not held, f"{len(held)} results were counted all the same"
            return room.judged(backs, room.settle())

    return run


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

        def change(number: int) -> None:
            with room.site.redis.client() as client:
                new = ("resetpass", f">new-password-{number}")
                client.execute_command("ACL", "SETUSER", "writer", *new)
                client.client_kill_filter(user="writer")

        def follow(number: int) -> None:
            access.writer_password.write_text(f"new-password-{number}\n")

        backs = room.outages(trial, change, follow, seconds=room.seconds, notices=True)
        wrong = room.settle()
        if "password-" in room.aggregator.log.read_text().replace("--redis-password-file", ""):
            wrong.append("a password is in the log")
        return room.judged(backs, wrong)


def disk_full(trial: Trial) -> Outcome:
    """Redis' append-only file on a small disk that fills up, and is made room on."""
    with _small_disk(trial.folder / "disk") as disk:
        options = {"appendonly": "yes", "appendfsync": "everysec", "dir": str(disk)}
        # What would switch the protection off: acknowledge what Redis refuses.
        with kitchen(trial, controls.ACKNOWLEDGED_BEFORE_COMMIT, redis=options) as room:
            filler = disk / "filler"
            backs = room.outages(
                trial, lambda _: _fill(filler), lambda _: filler.unlink(),
                seconds=room.seconds, notices=trial.protected,
            )  # fmt: skip
            wrong = room.settle()
            room.site.redis.stop()
            room.site.redis.start()  # from what is on the disk
            return room.judged(backs, wrong)


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


# The rows

_away_row: Final = partial(
    Row, group="Redis", control="acknowledgement after the commit", recover_within_s=2.0
)
_row: Final = partial(_away_row, times=3)
ROWS: Final[tuple[Row, ...]] = (
    _away_row("redis-away", "Redis away for 60 s", away),
    _away_row("redis-away-at-start", "Redis away when all else starts", away_at_start),
    _row(
        "redis-back-empty", "Redis back empty: only what was acknowledged before is gone",
        back_empty,
    ),
    _row(
        "redis-read-only", "Redis becomes a read-only replica",
        refusing(
            lambda client: client.replicaof("127.0.0.1", free_port()),
            lambda client: client.replicaof("NO", "ONE"),
        ),
    ),
    _row(
        "redis-no-replicas", "Redis lacks the replicas that it wants (min-replicas-to-write)",
        refusing(
            lambda client: client.config_set("min-replicas-to-write", 1),
            lambda client: client.config_set("min-replicas-to-write", 0),
        ),
    ),
    _row(
        "redis-out-of-memory", "Redis out of memory (maxmemory, noeviction)",
        refusing(
            lambda client: client.config_set("maxmemory", 1_000_000),
            lambda client: client.config_set("maxmemory", 0),
        ),
    ),
    _row(
        "redis-wrong-password", "the writer's password is changed in Redis, later in its file",
        wrong_password, control="reading the file for each connection",
    ),
    _row("redis-disk-full", "the disk of Redis' append-only file is full", disk_full),
)  # fmt: skip
