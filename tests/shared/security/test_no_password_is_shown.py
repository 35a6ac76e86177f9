"""However a password and the address around it are spelt, nobody is shown it."""

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roommood.aggregator.redis.url import parse_url, without_password
from roommood.camera_node.sources.open import open_source
from roommood.deploy.cli import main
from roommood.shared.errors import ConfigError, RoommoodError
from roommood.shared.process.settings.tables import problem, problem_with, rows_in
from roommood.shared.process.settings.tables import shown as settings_shown
from roommood.shared.security.secret_urls import holds_password, redacted, shown
from roommood.shared.transport.addresses import parse_address

CORE = "S3CRET"
odd = st.text(st.sampled_from("/#?@:&=%;,{}[]\\ !$+~.12aZé"), max_size=4)
password = st.builds(lambda before, after: f"{before}{CORE}{after}", odd, odd)


def all_percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def escaped(text: str) -> str:
    return quote(text, safe="")


spelling = st.sampled_from([str, escaped, all_percent])
spelt = st.builds(lambda how, text: how(text), spelling, password)
place = st.sampled_from(["cam", "cam:554", "10.0.0.2:80", "[fe80::1]:554"])
name = st.sampled_from(
    [
        "password",
        "passwd",
        "pwd",
        "pass",
        "psw",
        "pw",
        "PASSWORD",
        "Passwd",
        "loginpas",
        "token",
        "auth",
        "api_key",
        "userpwd",
    ]
)
source_start = st.sampled_from(
    ["rtsp://", "RTSPS://", "http://", "https://", "rtps://", "rtsp:/", "rtsp:", "rtsp//",
     "rtsp;//", "rtsp:///", "rtsp ://", " rtsp://", "rtsp://rtsp://", "http:\\\\", "//", "", "webcam:rtsp://",
     "picamera:http://"]
)  # fmt: skip
redis_start = st.sampled_from(
    ["redis://", "rediss://", "redis+sentinel://", "unix://", "reds://", "redis:/", "redis:",
     "redis//", "redis;//", "//", "", " redis://"]
)  # fmt: skip
before_host = st.builds(
    lambda user, colon, word, host, end: f"{user}{colon}{word}@{host}{end}",
    st.sampled_from(["admin", "", "a%40b"]), st.sampled_from([":", "%3A"]), spelt, place,
    st.sampled_from(["", "/", "/live", "/0", "/live?channel=1"]),
)  # fmt: skip
in_path_or_query = st.builds(
    lambda host, start, key, word, end: f"{host}/{start}{key}={word}{end}",
    place,
    st.sampled_from(["?", "user=admin&", "user=admin_", "live?user=admin&", "live;", "#"]),
    name, spelt, st.sampled_from(["", "&channel=1", "_stream=0.sdp?"]),
)  # fmt: skip
source = st.builds(lambda start, rest: start + rest, source_start, before_host | in_path_or_query)
redis_url = st.builds(lambda start, rest: start + rest, redis_start, before_host | in_path_or_query)


def tells(text: str) -> bool:
    return CORE in text or CORE in unquote(text)


@given(source)
def test_nothing_of_a_source_that_is_shown_holds_its_password(spec: str) -> None:
    assert tells(spec)
    assert not tells(shown(spec))
    assert not tells(redacted(spec))


@given(source)
def test_no_error_of_opening_a_source_holds_its_password(spec: str) -> None:
    try:
        text = open_source(spec).description
    except RoommoodError as error:
        text = str(error)
    assert not tells(text)


@given(source)
def test_nor_does_an_error_of_a_setting_where_no_source_belongs(spec: str) -> None:
    for key, value in (("workers", [spec]), ("workers", spec), ("rate_hz", spec), ("room", spec)):
        assert not tells(problem_with("camera", key, value))
        row = rows_in("camera")[key]
        assert not tells(f"{settings_shown(row, value)}: {problem(row, value)}")
    with pytest.raises(ConfigError) as refused:
        parse_address(spec)
    assert not tells(str(refused.value))


ADDRESS = "rtsp://me:S3CRET@127.0.0.1:1/live"


@pytest.mark.parametrize(
    "command",
    [
        f"demo --video {ADDRESS}", f"demo --pictures {ADDRESS}", f"notify --urls-file {ADDRESS}",
        f"models info {ADDRESS}", f"models pull {ADDRESS}", f"deploy {ADDRESS}",
        f"stats kitchen --from {ADDRESS}", f"pause {ADDRESS}", f"rooms --redis {ADDRESS}",
        f"analyse {ADDRESS}", f"doctor --worker {ADDRESS}",
    ],
)  # fmt: skip
def test_no_command_repeats_an_address_that_stands_where_none_belongs(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["roommood", *command.split()])
    with pytest.raises(SystemExit):
        main()
    text = "".join(capsys.readouterr())
    assert "error" in text or "fail" in text
    assert "s3cret" not in text.lower()


@given(redis_url)
def test_no_redis_url_that_is_shown_nor_its_error_holds_a_password(url: str) -> None:
    try:
        text = repr(parse_url(url))
    except RoommoodError as error:
        text = str(error)
    assert not tells(text)
    assert not tells(without_password(url))


@given(st.builds(lambda start, rest: start + rest, st.sampled_from(["rtsp://", "redis://"]),
                 before_host))  # fmt: skip
def test_a_password_before_the_host_is_always_seen(url: str) -> None:
    assert holds_password(url)
