"""By which MQTT a broker is spoken to: an older one, one that just starts, one that is upgraded."""

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from roommood.aggregator.mqtt.version import Ending, Version
from tests.aggregator.mqtt.test_refusals import bridged, is_v5, playing
from tests.end_to_end.site import until
from tests.redis_server import RedisServer

_WORKED, _REFUSED, _HUNG_UP = Ending.WORKED, Ending.REFUSED, Ending.HUNG_UP


def spoken(endings: Sequence[Ending]) -> list[str]:
    """The version of each connection that ended so, and of the one after; "?" where it is one that
    would not be kept."""
    version = Version()
    versions = []
    for ending in (*endings, None):
        versions.append(("5" if version.is_v5 else "3") + ("" if version.is_kept else "?"))
        if ending:
            version.ended(ending)
    return versions


@pytest.mark.parametrize(
    ("endings", "versions"),
    [
        ([_WORKED, _REFUSED], "5 5 5"),
        ([_HUNG_UP, _HUNG_UP, _HUNG_UP, _WORKED], "5 3? 5 3? 5"),
        ([_HUNG_UP, _WORKED, _WORKED, _HUNG_UP], "5 3? 5 5 3?"),
        ([_HUNG_UP, _WORKED, _HUNG_UP, _WORKED], "5 3? 5 3 5"),
        ([_HUNG_UP, _REFUSED, _REFUSED], "5 3? 3? 3?"),
        ([Ending.NOT_UNDERSTOOD, _WORKED], "5 3 5"),
        ([Ending.NOT_UNDERSTOOD, _REFUSED, _HUNG_UP], "5 3 3 5"),
    ],
)
def test_3_1_1_is_for_who_says_so_or_hangs_up_on_5_alone(
    endings: list[Ending], versions: str
) -> None:
    assert spoken(endings) == versions.split()


def test_who_hangs_up_after_it_was_away_is_not_known_yet() -> None:
    version = Version()
    for ending in (_HUNG_UP, _WORKED):
        version.ended(ending)
    version.unreached()
    version.ended(_HUNG_UP)
    assert not version.is_v5
    assert not version.is_kept


def test_a_broker_that_is_just_starting_behind_a_proxy_is_spoken_to_by_mqtt_5(
    fed: RedisServer, tmp_path: Path
) -> None:
    """As Docker's accepts and hangs up, for as long as nobody listens behind it."""
    hellos: list[int] = []

    def answer(link: socket.socket, hello: bytes) -> None:
        hellos.append(5 if is_v5(hello) else 3)
        if len(hellos) == 1:
            link.close()
        else:
            link.sendall(b"\x20\x03\x00\x00\x00" if is_v5(hello) else b"\x20\x02\x00\x00")

    with playing(answer, tmp_path) as there, bridged(there, fed) as bridge:
        until(lambda: "broker back" in bridge.log.read_text(), "it is found")
        assert hellos == [5, 3, 5]
        assert "3.1.1" not in bridge.log.read_text()


def test_a_broker_that_was_upgraded_is_spoken_to_by_mqtt_5(
    fed: RedisServer, tmp_path: Path
) -> None:
    links: list[socket.socket] = []

    def answer(link: socket.socket, hello: bytes) -> None:
        if is_v5(hello) and not links:
            link.sendall(b"\x20\x02\x00\x01")
            link.close()
            return
        links.append(link)
        link.sendall(b"\x20\x03\x00\x00\x00" if is_v5(hello) else b"\x20\x02\x00\x00")

    with playing(answer, tmp_path) as there, bridged(there, fed) as bridge:
        log = bridge.log.read_text
        until(lambda: "MQTT 3.1.1 is spoken" in log(), "it is an older one")
        links[0].shutdown(socket.SHUT_RDWR)
        until(lambda: "broker back" in log() and len(links) == 2, "it is found again")
        assert log().count("MQTT 3.1.1 is spoken") == 1
