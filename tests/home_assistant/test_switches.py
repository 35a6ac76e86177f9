"""Switches flipped in a real Home Assistant: real cameras stop being counted, and go on."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from roommood.aggregator.redis import keys as redis_keys
from roommood.inference_worker.models.files import SHIPPED_EXPRESSION
from tests.aggregator.dashboard.served import operator_of
from tests.aggregator.mqtt.bridges import Bridge
from tests.end_to_end.site import Component, Site, until
from tests.home_assistant.home import HomeAssistant
from tests.mosquitto import Mosquitto

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class Counted:
    """A camera in the den, one in the hall, and what Redis has of both."""

    site: Site
    sofa: Component

    def frames(self) -> int:
        return self.site.frames("den", "sofa")

    def others(self) -> int:
        return self.site.frames("hall", "door")

    def paused(self, key: str) -> set[str]:
        with self.site.redis.client() as client:
            return set(client.smembers(key))


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto) -> Iterator[Counted]:
    """A site whose bridge has the operator's login."""
    folder = tmp_path_factory.mktemp("counted")
    with Site(folder, str(SHIPPED_EXPRESSION)) as site:
        reports, frames = site.address(), site.address()
        site.aggregator(reports)
        site.worker(frames, reports)
        sofa = site.camera("sofa", "den", "simulated", frames)
        site.camera("door", "hall", "simulated", frames)
        with Bridge(broker, site.redis, *operator_of(site.redis, folder)):
            yield Counted(site, sofa)


@pytest.mark.parametrize(
    ("switch", "key", "name"),
    [
        ("switch.camera_sofa", redis_keys.PAUSED_CAMERAS, "sofa"),
        ("switch.den_cameras", redis_keys.PAUSED, "den"),
    ],
)
def test_a_camera_whose_switch_is_off_is_not_counted_until_it_is_on_again(
    home: HomeAssistant, counted: Counted, switch: str, key: str, name: str
) -> None:
    until(lambda: home.state(switch) == "on", "the switch is there, and on", 120)
    before = counted.frames()
    until(lambda: counted.frames() > before, "the den is counted")

    pauses = len(counted.sofa.lines("paused"))
    home.call("switch", "turn_off", switch)
    until(lambda: len(counted.sofa.lines("paused")) > pauses, "the camera is closed")
    assert counted.paused(key) == {name}
    until(lambda: home.state(switch) == "off", "the switch shows it")
    others = counted.others()
    until(lambda: counted.others() > others + 5, "what was under way is counted")
    still, others = counted.frames(), counted.others()
    until(lambda: counted.others() > others + 10, "the hall goes on")
    assert counted.frames() == still

    home.call("switch", "turn_on", switch)
    until(lambda: counted.frames() > still, "the den is counted again")
    assert counted.paused(key) == set()
    assert until(lambda: home.state(switch) == "on", "the switch shows that")
