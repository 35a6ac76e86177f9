"""What is wrong on a site, and what to do: from health and rooms to sentences. Pure."""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from roommood.aggregator.stats.health import SILENT_S, CameraHealth, WorkerHealth

# What a camera says of its source while it is closed on purpose.
_CLOSED: Final = ("paused", "quiet", "starting", "stopped", "ended")
_TODO: Final = {
    "frozen": "look at the camera: its driver or its stream stands still; restart it",
    "black": "is its lens covered, or the room dark?",
    "blank": "is its lens covered?",
    "reconnecting": "is it plugged in? On its machine: roommood doctor",
    "refused": "its worker's log says more; do others' pictures arrive whole?",
    "unreached": "on its machine: roommood doctor --worker HOST:PORT",
    "failed": "its log says more: journalctl --unit 'camera-node*'",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: of which camera or worker, in which room ("": none), what it is,
    and what to do about it."""

    of: str
    room: str
    what: str
    todo: str


def camera_state(camera: CameraHealth) -> str:
    """In a word: ok, silent, revoked, or what the camera says of its source."""
    if camera.silent_s >= SILENT_S:
        return "revoked" if camera.evicted else "silent"
    return (camera.trouble or "ok").partition(":")[0]


def problems(
    cameras: Iterable[CameraHealth],
    workers: Sequence[WorkerHealth],
    closed_rooms: Iterable[str],
    paused_cameras: Container[str] = (),
) -> list[Problem]:
    """Cameras first, by room and name. Those of `closed_rooms` and `paused_cameras` are closed on
    purpose."""
    closed = set(closed_rooms)
    problems = [
        problem
        for camera in cameras
        for problem in _of_camera(camera, camera.room in closed or camera.camera in paused_cameras)
    ]
    return sorted(problems, key=lambda problem: (problem.room, problem.of)) + list(
        _of_workers(workers)
    )


def _of_camera(camera: CameraHealth, is_closed: bool) -> Iterator[Problem]:
    state = camera_state(camera)
    if state in ("ok", "revoked", *_CLOSED) or (state == "silent" and is_closed):
        return
    if state == "silent":
        what = "silent: no worker has heard of it"
        todo = "is it switched on and on the network? On its machine: roommood doctor"
    else:
        what, todo = camera.trouble, _TODO.get(state, "on its machine: roommood doctor")
    yield Problem(camera.camera, camera.room, what, todo)


def _of_workers(workers: Sequence[WorkerHealth]) -> Iterator[Problem]:
    heard = {worker.address for worker in workers if worker.silent_s < SILENT_S}
    if workers and not heard:
        todo = "start one: inference-worker --help; until then no frame is looked at"
        yield Problem("workers", "", "none is heard", todo)
        return
    for worker in workers:
        if worker.silent_s >= SILENT_S and worker.address not in heard:
            what, todo = "silent", "its log says why: journalctl --unit 'inference-worker*'"
            yield Problem(worker_name(worker), "", what, todo)
        elif worker.unreached and worker.silent_s < SILENT_S:
            todo = "on its machine: roommood doctor --aggregator HOST:PORT"
            yield Problem(
                worker_name(worker), "", f"aggregator not reached: {worker.unreached}", todo
            )


def worker_name(worker: WorkerHealth) -> str:
    """By which a worker is told of: its address, or its id where it has said none."""
    return worker.address.removeprefix("tcp://") or worker.worker
