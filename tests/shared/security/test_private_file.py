"""The one rule for files that hold secrets, each part with a file that it does not refuse."""

import os
from pathlib import Path

import pytest

from roommood.shared.errors import ConfigError
from roommood.shared.security.password_file import read_password
from roommood.shared.security.private_file import read_private

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files that root owns")
NOBODY = 65534


@pytest.fixture(autouse=True)
def outside_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def file_of(folder: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def read(path: Path, *, is_secret: bool = True) -> str:
    return read_private(path, 64, "a word", is_secret=is_secret)


def test_a_byte_order_mark_is_no_part_of_it(tmp_path: Path) -> None:
    """As Windows' editor begins a text with."""
    path = file_of(tmp_path, "\ufeffsesame\r\n")
    assert (read(path), read_password(path)) == ("sesame", "sesame")


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_what_only_its_owner_may_read_is_taken(tmp_path: Path, mode: int) -> None:
    assert read(file_of(tmp_path, "sesame", mode)) == "sesame"


@pytest.mark.parametrize(
    ("mode", "can"),
    [(0o640, "read"), (0o604, "read"), (0o440, "read"), (0o660, "change"), (0o602, "change")],
)
def test_what_others_may_read_or_change_is_refused_with_what_mends_it(
    tmp_path: Path, mode: int, can: str
) -> None:
    path = file_of(tmp_path, "sesame", mode)
    with pytest.raises(ConfigError, match=rf"others can {can} .*{mode:04o}.*chmod 600 {path}$"):
        read(path)
    path.chmod(0o600)
    assert read(path) == "sesame"


def test_what_is_no_secret_may_be_read_by_all_and_changed_by_none(tmp_path: Path) -> None:
    path = file_of(tmp_path, "sesame", 0o644)
    assert read(path, is_secret=False) == "sesame"
    path.chmod(0o646)
    with pytest.raises(ConfigError, match=f"others can change .*chmod 600 {path}"):
        read(path, is_secret=False)


@AS_ROOT
def test_a_credential_is_taken_with_the_mode_that_systemd_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file_of(tmp_path, "sesame", 0o440)
    with pytest.raises(ConfigError, match="chmod 600"):
        read(path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read(path) == "sesame"


@AS_ROOT
@pytest.mark.parametrize("mode", [0o444, 0o460, 0o640])
def test_a_credential_of_another_mode_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    path = file_of(tmp_path, "sesame", mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        read(path)
    path.chmod(0o440)
    assert read(path) == "sesame"


@AS_ROOT
def test_a_credential_that_is_not_roots_is_a_file_like_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    path = file_of(tmp_path, "sesame", 0o440)
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(ConfigError, match="chmod 600"):
        read(path)
    os.chown(path, 0, 0)
    assert read(path) == "sesame"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_newline_at_the_end_is_no_part_of_it(tmp_path: Path, end: str) -> None:
    assert read(file_of(tmp_path, f"open sesame{end}")) == "open sesame"


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_secret_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = file_of(tmp_path, text)
    with pytest.raises(ConfigError, match=f"{path} is empty: it is to hold a word"):
        read(path)
    assert read(path, is_secret=False) == ""


@pytest.mark.parametrize(
    ("content", "why"), [(None, "No such file"), (b"\xff\xfe", "no text"), (b"x" * 65, "64 bytes")]
)
def test_what_cannot_be_read_is_refused_by_name(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "secret" if content is None else file_of(tmp_path, content)
    with pytest.raises(ConfigError, match=why) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "a word" in str(caught.value)
    assert read(file_of(tmp_path, "x" * 64)) == "x" * 64


def test_a_folder_is_no_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"cannot read {tmp_path}: Is a directory"):
        read(tmp_path)


# Passwords


def test_a_password_is_the_first_line(tmp_path: Path) -> None:
    assert read_password(file_of(tmp_path, "open sesame\nfor the door\n")) == "open sesame"


@pytest.mark.parametrize("text", ["", "\n", "short\n", "\nopen sesame\n"])
def test_a_password_that_is_too_short_is_refused_by_the_files_name(
    tmp_path: Path, text: str
) -> None:
    path = file_of(tmp_path, text)
    with pytest.raises(ConfigError, match=f"{path}.* a password of 8 characters or more") as caught:
        read_password(path, least_chars=8)
    assert "short" not in str(caught.value).replace(str(path), "")
    assert read_password(file_of(tmp_path, "sesame, open\n"), least_chars=8) == "sesame, open"
