"""Cameras and workers: do they run, how fast, and what became of their frames?"""

from collections.abc import Iterable, Iterator

from roommood.aggregator.dashboard.broadcaster import Broadcaster
from roommood.aggregator.dashboard.cache import SnapshotCache
from roommood.aggregator.dashboard.html import render
from roommood.aggregator.dashboard.pages.frame import Frame
from roommood.aggregator.dashboard.pages.parts import block, words
from roommood.aggregator.dashboard.zones import PageZone
from roommood.aggregator.stats.health import SILENT_S, WorkerHealth


def health_page(broadcaster: Broadcaster, zone: PageZone) -> None:
    """Builds the page for one who looks."""
    frame = Frame(broadcaster, zone, "/health")
    with frame.body():
        words("h1", "Cameras and workers", "rm-title")
        words("h2", "Cameras")
        cameras = block("rm-block")
        words("h2", "Workers")
        workers = block("rm-block")

    def show(cache: SnapshotCache) -> None:
        snapshot = cache.snapshot
        away = bool(snapshot.away)
        cameras.content = cache.once(
            "cameras", lambda: render("cameras.html", cameras=snapshot.cameras, away=away)
        )
        known = cache.once("current", lambda: list(current(snapshot.workers)))
        workers.content = cache.once(
            "workers", lambda: render("workers.html", workers=known, away=away)
        )

    frame.follow(show)


def current(workers: Iterable[WorkerHealth]) -> Iterator[WorkerHealth]:
    """Without those that fell silent and whose place another has taken: a restarted worker."""
    each = list(workers)
    taken = {worker.address for worker in each if worker.silent_s < SILENT_S and worker.address}
    for worker in each:
        if worker.silent_s < SILENT_S or worker.address not in taken:
            yield worker
