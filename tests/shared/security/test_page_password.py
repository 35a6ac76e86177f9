"""The password of a page, as its file holds it and as a browser gives it."""

import base64
from pathlib import Path

import pytest

from roommood.shared.errors import ConfigError
from roommood.shared.security.page_password import given_password, read_page_password


def basic(text: str | bytes) -> str:
    raw = text if isinstance(text, bytes) else text.encode()
    return "Basic " + base64.b64encode(raw).decode()


def test_eight_characters_are_enough_and_seven_are_not(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.touch(mode=0o600)
    path.write_text("sesame!\n")
    with pytest.raises(ConfigError, match="8 characters"):
        read_page_password(path)
    path.write_text("sesame!!\n")
    assert read_page_password(path) == "sesame!!"


def test_without_a_file_none_is_asked_for() -> None:
    assert read_page_password(None) is None


@pytest.mark.parametrize("word", ["open sesame", "a:b", "größer", ""])
def test_the_password_is_what_follows_the_name(word: str) -> None:
    assert given_password(basic(f"me:{word}")) == word
    assert given_password(basic(f":{word}").replace("Basic", "bAsIc")) == word


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic %%%", "Basic é", "Bearer bWU6eA==", basic(b"me:\xff")]
)
def test_what_is_no_password_is_none(header: str) -> None:
    assert not given_password(header)
    assert given_password(basic("me:x")) == "x"
