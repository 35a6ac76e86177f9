"""A camera is asked for as many frames as what it shows deserves, and what it shows is counted for
as long as it was shown."""

from pathlib import Path
from statistics import median

import cv2
import numpy as np
import pytest

from tests.end_to_end.site import EVERY_FRAME, Site, until
from tests.end_to_end.test_pipeline import assert_books_agree

PEOPLE = ("--rate-hz", "5", "--empty-rate-hz", "2")


@pytest.fixture
def empty_room(tmp_path: Path) -> str:
    folder = tmp_path / "room"
    folder.mkdir()
    cv2.imwrite(str(folder / "wall.jpg"), np.full((240, 320, 3), 120, np.uint8))
    return str(folder)


@pytest.fixture
def worn_room(tmp_path: Path) -> str:
    """An empty room whose light flickers: no two pictures that follow each other look the same."""
    folder = tmp_path / "worn"
    folder.mkdir()
    for number, corner in enumerate((120, 40)):
        picture = np.full((240, 320, 3), 120, np.uint8)
        picture[:80, :80] = corner
        cv2.imwrite(str(folder / f"{number}.jpg"), picture)
    return str(folder)


def gaps_ms(site: Site, source: str, rates: tuple[str, ...]) -> list[float]:
    """Times between the frames of one camera that offers 30 a second."""
    reports, frames = site.address(), site.address()
    site.aggregator(reports)
    worker = site.worker(frames, reports, *rates)
    site.camera("sofa", "den", source, frames, "--rate-hz", "30")
    until(lambda: len(worker.lines("analysed")) >= 12, "frames are analysed")
    return [line["interval_us"] / 1000 for line in worker.lines("started")][4:]


def test_where_nothing_changes_most_looks_are_spared_and_all_the_time_is_counted(
    site: Site, empty_room: str
) -> None:
    reports, frames = site.address(), site.address()
    site.aggregator(reports)
    worker = site.worker(frames, reports, *PEOPLE, "--repeat-ms", "2000")
    camera = site.camera("sofa", "den", empty_room, frames, "--rate-hz", "30")
    until(lambda: len(worker.lines("analysed")) >= 6, "it was looked at")
    camera.stop()
    worker.stop()
    (own,), (ended,) = camera.lines("camera ended"), worker.lines("worker ended")
    assert own["unchanged"] > own["sent"]
    spared = ended.get("repeated", 0) + ended["held"]
    assert ended["result-committed"] == ended["analysed"] + spared
    looked = worker.lines("started") + worker.lines("held")
    assert site.buckets("den")["observed_us:sofa"] == sum(line["interval_us"] for line in looked)
    assert site.buckets("den")["repeated:sofa"] == spared
    assert site.frames("den", "sofa") == ended["analysed"]
    gaps = [line["interval_us"] for line in worker.lines("held")]
    assert max(gaps) < 2_000_000
    assert_books_agree(site, "den", camera, [worker])


def test_whoever_comes_into_an_empty_room_is_sent_at_the_next_look(
    site: Site, worn_room: str
) -> None:
    reports, frames = site.address(), site.address()
    site.aggregator(reports)
    worker = site.worker(frames, reports, *PEOPLE, "--repeat-ms", "2000")
    camera = site.camera("sofa", "den", worn_room, frames, "--rate-hz", "2")
    until(lambda: len(worker.lines("analysed")) >= 6, "it was looked at")
    camera.stop()
    assert camera.lines("camera ended")[0]["unchanged"] == 0


def test_two_workers_look_at_an_empty_room_no_more_often_than_one(
    site: Site, empty_room: str
) -> None:
    reports, addresses = site.address(), [site.address(), site.address()]
    site.aggregator(reports)
    options = (*PEOPLE, "--repeat-ms", "2000")
    workers = [site.worker(address, reports, *options) for address in addresses]
    camera = site.camera("sofa", "den", empty_room, " ".join(addresses), "--rate-hz", "30")
    until(lambda: sum(len(each.lines("held")) for each in workers) >= 4, "pictures were held")
    camera.stop()
    gaps = [line["interval_us"] for each in workers for line in each.lines("held")]
    assert median(gaps) > 1_000_000


def test_the_control_spares_none(site: Site, empty_room: str) -> None:
    reports, frames = site.address(), site.address()
    site.aggregator(reports)
    worker = site.worker(frames, reports, *PEOPLE, "--repeat-ms", "0")
    site.camera("sofa", "den", empty_room, frames, "--rate-hz", "30")
    until(lambda: len(worker.lines("analysed")) >= 12, "frames are analysed")
    assert not worker.lines("repeated")
    assert not worker.lines("held")


def test_an_empty_room_is_looked_at_twice_a_second(site: Site, empty_room: str) -> None:
    assert median(gaps_ms(site, empty_room, PEOPLE)) >= 400.0


def test_the_control_takes_what_there_is(site: Site, empty_room: str) -> None:
    assert median(gaps_ms(site, empty_room, EVERY_FRAME)) < 400.0


def test_the_time_between_two_looks_is_counted(site: Site, empty_room: str) -> None:
    gaps = gaps_ms(site, empty_room, PEOPLE)

    until(
        lambda: site.buckets("den")["observed_us:sofa"] >= sum(gaps) * 1000,
        "all the time is counted",
    )
    assert site.frames("den", "sofa") <= site.buckets("den")["observed_us:sofa"] / 1e6 * 3
