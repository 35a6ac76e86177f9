"""A site whose logs lie apart from what its processes might write."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from roommood.inference_worker.models.files import SHIPPED_EXPRESSION
from tests.end_to_end.site import Site


@pytest.fixture
def make_private_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def make(**redis_options: str) -> Site:
        folder = tmp_path / f"site-{len(sites)}"
        folder.mkdir()
        site = Site(folder, str(SHIPPED_EXPRESSION), **redis_options)
        sites.append(site.__enter__())
        return site

    yield make
    for site in sites:
        site.__exit__(None, None, None)


@pytest.fixture
def site(make_private_site: Callable[..., Site]) -> Site:
    return make_private_site()
