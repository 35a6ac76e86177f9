"""What a test needs of the machine it runs on."""

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Ends a test that lacks something: it fails where the variable CI is set, to whatever, and
    skips elsewhere. For what .ci/run, or whoever asks for the test by a target of its own, has
    installed."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)
