"""A file is replaced whole or stays as it was, and stays its owner's."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from roommood.shared.errors import ConfigError
from roommood.shared.process.atomic_file import atomic_file, write_private


def write(path: Path, text: str = "new") -> None:
    with atomic_file(path) as file:
        file.write(text)


def broken() -> Iterator[str]:
    yield "half"
    raise KeyError


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_file_appears_when_all_is_written_and_nothing_else_does(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with atomic_file(path) as file:
        file.write("new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("there", [True, False])
def test_what_breaks_off_leaves_all_as_it_was(tmp_path: Path, there: bool) -> None:
    path = tmp_path / "file"
    if there:
        path.write_text("old")
    with pytest.raises(KeyError), atomic_file(path) as file:
        file.writelines(broken())
    assert os.listdir(tmp_path) == (["file"] if there else [])
    assert not there or path.read_text() == "old"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_file_keeps_its_mode_and_a_new_one_has_the_usual(tmp_path: Path, mode: int) -> None:
    old, usual = tmp_path / "old", tmp_path / "usual"
    old.touch()
    old.chmod(mode)
    usual.touch()
    write(old)
    write(tmp_path / "new")
    assert mode_of(old) == mode
    assert mode_of(tmp_path / "new") == mode_of(usual)


def test_a_link_goes_on_pointing_to_its_file(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    link.symlink_to(file)
    write(link)
    assert link.is_symlink()
    assert file.read_text() == "new"


def test_where_nothing_can_be_written_the_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "file"
    with pytest.raises(ConfigError, match=f"{path} cannot be written"):
        write(path)


@pytest.mark.parametrize("there", [True, False])
def test_a_private_file_is_its_owners_alone_whatever_was_there(tmp_path: Path, there: bool) -> None:
    path = tmp_path / "secret"
    if there:
        path.write_text("old")
        path.chmod(0o644)
    before = os.umask(0)
    try:
        write_private(path, "new")
    finally:
        os.umask(before)
    assert (path.read_text(), mode_of(path)) == ("new", 0o600)
    assert os.listdir(tmp_path) == ["secret"]


def test_the_root_of_all_is_an_error_too() -> None:
    with pytest.raises(ConfigError, match="/ cannot be written: it is a folder"):
        write(Path("/"))


@pytest.fixture
def unreadable_folder() -> Iterator[Path]:
    """One that may be written into and not listed, not even by root, who is nobody meanwhile."""
    folder, user = Path(tempfile.mkdtemp()), os.geteuid()
    folder.chmod(0o333)
    if user == 0:
        os.seteuid(65_534)
    yield folder
    os.seteuid(user)
    shutil.rmtree(folder)


def test_what_is_written_is_no_error_where_its_folder_may_not_be_read(
    unreadable_folder: Path,
) -> None:
    write(unreadable_folder / "out.csv")
    assert (unreadable_folder / "out.csv").read_text() == "new"


@pytest.mark.parametrize("kind", ["device", "pipe", "folder"])
def test_what_is_there_and_no_file_is_not_replaced(kind: str, tmp_path: Path) -> None:
    """As root `-o /dev/null` put a file in the place of the device, for all of the machine."""
    path = tmp_path / "there"
    if kind == "device":
        try:
            os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("only root makes devices")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    before = path.stat()
    with pytest.raises(ConfigError, match=r"no file|a folder") as caught:
        write(path)
    assert ".part" not in str(caught.value)
    assert (path.stat().st_ino, path.stat().st_mode) == (before.st_ino, before.st_mode)
    assert os.listdir(tmp_path) == ["there"]


def test_a_name_that_is_too_long_is_told_as_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written: File name too long"):
        write(tmp_path / ("x" * 300))


def test_an_address_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a folder has its beginning for a name, it would be one."""
    monkeypatch.chdir(tmp_path)
    Path("s3:", "bucket").mkdir(parents=True)
    with pytest.raises(ConfigError, match="is an address"), atomic_file(Path("s3://bucket/x.csv")):
        pass
    assert not any(Path("s3:", "bucket").iterdir())
