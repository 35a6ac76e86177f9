"""Several worker processes under one command: cameras know one address and use them all."""

import os
import signal
import socket

from tests.end_to_end.site import (
    Component,
    Site,
    acknowledged,
    assert_counted_exactly_once,
    until,
)
from tests.ports import free_port


def two_ports() -> int:
    """The first of two ports in a row that are free."""
    while True:
        port = free_port()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
        return port


def analysed(workers: Component) -> int:
    return len(workers.lines("analysed"))


def test_a_camera_uses_every_process_and_a_killed_one_loses_nothing_acknowledged(
    site: Site,
) -> None:
    reports, port = site.address(), two_ports()
    first, second = f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{port + 1}"
    aggregator = site.aggregator(reports)
    workers = site.start_worker(
        first, reports, "--processes", "2", "--min-frame-ms", "100", "--drain-s", "5"
    )
    until(lambda: len(workers.lines("worker ready")) == 2, "both are ready")
    assert {line["bind"] for line in workers.lines("worker ready")} == {first, second}
    camera = site.camera("sofa", "den", "simulated", first, "--rate-hz", "20")
    until(lambda: second in str(camera.lines()), "the camera learns of the second")
    victim = int(workers.lines("worker started")[0]["pid"])
    until(lambda: analysed(workers) > 20, "both analyse")
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(workers.lines("worker ready")) == 3, "it is replaced")
    before = analysed(workers)
    until(lambda: analysed(workers) > before + 20, "and work goes on")
    assert [camera.stop(), workers.stop(), aggregator.stop()] == [0, 0, 0]
    counted = assert_counted_exactly_once(site, "den", acknowledged([workers]))
    assert counted >= len(acknowledged([workers])) > 0
