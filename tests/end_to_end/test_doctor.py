"""What `roommood doctor` says of the port of a component that runs."""

from pathlib import Path

import pytest

from roommood.deploy.doctor.findings import Finding, Level
from roommood.deploy.doctor.network import check_peer
from roommood.deploy.keys.site_keys import SiteKeys
from tests.end_to_end.site import Site


def finding_of(kind: str, address: str, keys: Path | None = None) -> Finding:
    return next(iter(check_peer(kind, address, keys)))


@pytest.mark.parametrize("has_keys", [False, True], ids=["without-keys", "with-keys"])
def test_a_worker_and_an_aggregator_are_told_apart_and_the_question_leaves_no_trace(
    site: Site, tmp_path: Path, has_keys: bool
) -> None:
    keys = SiteKeys(tmp_path / "keys") if has_keys else None
    if keys:
        keys.init()
        keys.add_camera("door", "kitchen")
        site.keys = keys
    place = keys.folder if keys else None
    at = {"worker": site.address(), "aggregator": site.address()}
    aggregator = site.aggregator(at["aggregator"])
    worker = site.worker(at["worker"], at["aggregator"])

    for kind, address in at.items():
        finding = finding_of(kind, address, place)
        assert (finding.level, finding.about) == (Level.OK, kind), finding
        assert "answers as one does" in finding.found
    for kind, other in (("worker", "aggregator"), ("aggregator", "worker")):
        finding = finding_of(kind, at[other], place)
        assert finding.level is Level.FAIL
        assert ("another component's port" if has_keys else f"kind: {other}") in finding.found
    if has_keys:
        unasked = finding_of("worker", at["worker"])
        assert (unasked.level, "wants keys" in unasked.found) == (Level.WARN, True)
    for component in (worker, aggregator):
        assert not component.lines("message refused")
