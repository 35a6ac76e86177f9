"""Addresses of network cameras: who we are to them, and what of it is shown."""

from pathlib import Path

import pytest

from roommood.camera_node.sources.network.address import Address, Credentials
from roommood.camera_node.sources.open import open_source
from roommood.shared.errors import ConfigError, SourceError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("p/w#1@x\n")
    path.chmod(0o600)
    return path


def test_user_and_password_are_kept_apart_from_the_address() -> None:
    address = Address.parse("rtsp://admin:p%2Fw%231%40x@cam:554/live?a=1")
    assert address.url == "rtsp://cam:554/live?a=1"
    assert address.credentials == Credentials("admin", "p/w#1@x")
    assert address.with_credentials() == "rtsp://admin:p%2Fw%231%40x@cam:554/live?a=1"
    assert "p/w" not in repr(address)


def test_the_password_comes_from_a_file(file: Path) -> None:
    address = Address.parse("rtsp://admin@cam/live", file)
    assert address.with_credentials() == "rtsp://admin:p%2Fw%231%40x@cam/live"


def test_the_password_stands_where_the_camera_wants_it(file: Path) -> None:
    address = Address.parse("rtsp://cam/user=admin&password={password}&channel=1", file)
    assert address.url == "rtsp://cam/user=admin&password=p%2Fw%231%40x&channel=1"
    assert address.shown == "rtsp://cam"
    assert address.credentials is None


def test_a_password_without_a_user_is_told(file: Path) -> None:
    with pytest.raises(ConfigError, match="names no user"):
        Address.parse("rtsp://cam/live", file)


def test_a_password_that_others_can_read_is_refused(file: Path) -> None:
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="others can read"):
        open_source("rtsp://admin@cam/live", password_file=file)


@pytest.mark.parametrize("password", ["pa#SECRET", "pa/SECRET", "pa?SECRET"])
def test_what_must_be_written_otherwise_is_told_without_it(password: str) -> None:
    with pytest.raises(SourceError, match="write # as %23") as caught:
        open_source(f"rtsp://admin:{password}@cam/live")
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "spec",
    ["ftp://me:SECRET@cam/v", "rtps://me:SECRET@cam/v", "rtsp:/me:SECRET@cam", "me:SECRET@cam"],
)
def test_no_misspelt_address_is_repeated(spec: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(spec)
    assert "SECRET" not in str(caught.value)
