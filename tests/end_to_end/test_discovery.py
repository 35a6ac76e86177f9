"""A camera that was told of no worker finds one that announces itself on the network."""

import socket

import pytest

from roommood.shared.transport.addresses import host_of
from roommood.shared.transport.advertising import Advertisement
from tests.end_to_end.site import Site, until

pytest.importorskip("zeroconf")


def own_host() -> str:
    """This machine's address on its network; skips where there is none."""
    address = Advertisement("tcp://*:5701", None).address
    if not address:
        pytest.skip("this machine has no network")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host_of(address), 0))
        except OSError:
            pytest.skip("the address of this machine cannot be bound")
    return host_of(address)


def test_a_camera_finds_a_worker_by_itself(site: Site) -> None:
    reports = site.address()
    site.aggregator(reports)
    bind = f"{own_host()}:{site.address().rpartition(':')[2]}"
    worker = site.worker(bind, reports, "--announce", "--insecure")
    camera = site.start(
        "roommood.camera_node.cli", "--name", "sofa", "--room", "den", "--source", "simulated",
        "--rate-hz", "10", "--discover", "--insecure",
    )  # fmt: skip
    assert camera.wait_for("camera ready")["workers"] == "discovered"
    until(lambda: len(worker.lines("analysed")) > 3, "it gets frames")


def test_an_announced_stranger_without_the_key_gets_nothing(site: Site) -> None:
    """Discovery says where, never who: without `--insecure` or keys no address is connected to."""
    reports = site.address()
    site.aggregator(reports)
    bind = f"{own_host()}:{site.address().rpartition(':')[2]}"
    worker = site.worker(bind, reports, "--announce", "--insecure")
    camera = site.start(
        "roommood.camera_node.cli", "--name", "sofa", "--room", "den", "--source", "simulated",
        "--rate-hz", "10", "--discover",
    )  # fmt: skip
    until(lambda: camera.lines("learned worker not used"), "it is found and not used")
    assert not worker.lines("analysed")
