"""A real Home Assistant takes minutes to install: `make home-assistant` runs these tests."""

import os
from collections.abc import Iterator

import pytest

from tests.home_assistant.home import HomeAssistant
from tests.mosquitto import Mosquitto

if not os.environ.get("ROOMMOOD_TEST_HOME_ASSISTANT"):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto) -> Iterator[HomeAssistant]:
    with HomeAssistant(tmp_path_factory.mktemp("home") / "config", broker) as running:
        yield running
