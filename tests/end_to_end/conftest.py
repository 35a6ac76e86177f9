"""What the end-to-end tests share: real pictures and a real classifier."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from roommood.inference_worker.models.files import SHIPPED_EXPRESSION
from tests.end_to_end.site import Site
from tests.inference_worker.pictures import astronaut, grace_hopper, jpeg, plain

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def make(**redis_options: str) -> Site:
        site = Site(tmp_path, str(SHIPPED_EXPRESSION), **redis_options)
        sites.append(site.__enter__())
        return site

    yield make
    for site in sites:
        site.__exit__(None, None, None)


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all tests of a file that only read, or whose cameras have names of their own."""
    with Site(tmp_path_factory.mktemp("site"), str(SHIPPED_EXPRESSION)) as site:
        yield site


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six JPEGs that play in the order of their names: with 1, 0, 1, 2, 0 and 1 faces."""
    import cv2
    import numpy as np

    folder = tmp_path_factory.mktemp("pictures")
    woman = cv2.resize(astronaut(), (480, 480)).astype(np.uint8)
    man = cv2.resize(grace_hopper(), (410, 480)).astype(np.uint8)
    nobody = plain(640, 480, 90)
    for number, picture in enumerate(
        (woman, nobody, man, np.hstack([woman, man]), nobody, woman), start=1
    ):
        (folder / f"{number}.jpg").write_bytes(jpeg(picture))
    return folder
