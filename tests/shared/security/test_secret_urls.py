"""What of an address may be shown, and which hold a password."""

import pytest

from roommood.shared.security.secret_urls import (
    holds_password,
    is_well_formed,
    redacted,
    shown,
)

WELL_FORMED = [
    "rtsp://admin:SECRET@cam:554/live",
    "rtsp://admin:SEC%23RET@cam:554/live",
    "rtsp://cam:554/user=admin&password=SECRET&channel=1&stream=0.sdp?",
    "rtsp://cam:554/user=admin_password=SECRET_channel=1.sdp",
    "http://cam:554/cgi-bin/snap.cgi?user=admin&pwd=SECRET",
    "http://cam:554/snap?passwd=SECRET",
    "http://cam:554/v?token=SECRET",
    "http://cam:554/v?auth=SECRET",
    "http://cam:554/v?apikey=SECRET",
    "http://cam:554/v?userpwd=SECRET",
    "http://admin:SECRET@[fe80::1]:554/v",
]
MALFORMED = [
    "rtsp://admin:SEC/SECRET@cam/live",
    "rtsp://admin:SEC#SECRET@cam/live",
    "rtsp://admin:SEC?SECRET@cam/live",
    "rtsp://admin:12/SECRET@cam/live",
    "rtsp://admin:SEC\\SECRET@cam/live",
    "rtsp://cam/user=admin&password=S@SECRET",
    "rtsp://admin:SECRET",
    "rtsp://admin:SECRET@",
    "rtps://admin:SECRET@[cam/live",
    "rtsp:/admin:SECRET@cam/live",
    "rtsp:admin:SECRET@cam/live",
    "admin:SECRET@cam/live",
    "//admin:SECRET@cam/live",
    "rtsp//admin:SECRET@cam/live",
    "rtsp;//admin:SECRET@cam/live",
    " rtsp://admin:SECRET@cam/live",
    "cam/live?user=admin&password=SECRET",
]


@pytest.mark.parametrize("url", WELL_FORMED)
def test_only_scheme_and_host_are_shown(url: str) -> None:
    host = "[fe80::1]:554" if "fe80" in url else "cam:554"
    assert redacted(url) == shown(url) == f"{url.partition(':')[0]}://{host}"
    assert holds_password(url)
    assert is_well_formed(url)


@pytest.mark.parametrize("url", MALFORMED)
def test_nothing_of_a_password_is_shown_however_wrong_the_address_is(url: str) -> None:
    for text in (redacted(url), shown(url)):
        assert "SEC" not in text
        assert "admin" not in text


@pytest.mark.parametrize("url", [*MALFORMED[:3], "rtsp:///live", "http://[::1/v", "cam/live"])
def test_what_is_no_address_is_known_as_such(url: str) -> None:
    assert not is_well_formed(url)


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://cam/live",
        "rtsp://user@cam/live",
        "rtsp://cam/user=admin&password={password}",
        "http://cam:80/v?compass=1",
        "redis://roommood-reader@10.0.0.2:6379/0",
        "party.mp4",
        "0",
    ],
)
def test_what_holds_no_password(url: str) -> None:
    assert not holds_password(url)


@pytest.mark.parametrize("url", ["redis://u%3APW@h", "redis://:PW@h", "redis://h?password=PW"])
def test_redis_passwords_are_seen(url: str) -> None:
    assert holds_password(url)


@pytest.mark.parametrize("spec", ["0", "/dev/video0", "photos/party.jpg", "C:/photos", "simulated"])
def test_what_is_no_address_is_shown_as_it_is(spec: str) -> None:
    assert shown(spec) == spec


@pytest.mark.parametrize(
    ("url", "as_shown"),
    [
        ("tcp://*:5555", "tcp://*:5555"),
        ("tcp://user:PASSWORD@*:5555", "tcp://*:5555"),
        ("tcp://*:PASSWORD", "tcp://..."),
        ("tcp://*:5555/PASSWORD@desk", "tcp://..."),
    ],
)
def test_a_star_for_all_networks_is_shown(url: str, as_shown: str) -> None:
    assert shown(url) == as_shown
