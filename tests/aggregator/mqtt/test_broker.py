"""Why a broker is not reached, in words that say what to do; against real ones."""

import ssl
from collections.abc import Iterator

import pytest

from roommood.aggregator.mqtt.broker import why_not_reached
from tests.mosquitto import Mosquitto
from tests.ports import free_port


@pytest.fixture(scope="module")
def secured() -> Iterator[Mosquitto]:
    with Mosquitto(secured=True) as running:
        yield running


def test_a_certificate_of_an_unknown_authority_is_said_as_that(secured: Mosquitto) -> None:
    reason = why_not_reached("localhost", secured.port, ssl.create_default_context())
    assert "certificate is not trusted: self-signed" in reason
    assert "--ca-file" in reason


def test_a_certificate_for_another_name_is_said_as_that(secured: Mosquitto) -> None:
    trusting = ssl.create_default_context(cafile=secured.ca_file)
    reason = why_not_reached("127.1", secured.port, trusting)
    assert "certificate is for another name: Hostname mismatch" in reason


def test_a_broker_without_tls_is_said_as_that() -> None:
    with Mosquitto() as plain:
        reason = why_not_reached("localhost", plain.port, ssl.create_default_context())
    assert f"no TLS at port {plain.port}" in reason


def test_a_port_where_nobody_listens_is_said_as_that() -> None:
    assert why_not_reached("127.0.0.1", free_port(), None) == "Connection refused"
