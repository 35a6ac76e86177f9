import json
import shlex
import sys
from pathlib import Path
from urllib.request import pathname2url

import pytest

from roommood.shared.process.origin import Origin, how_to_install, origin


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages in which roommood is found first; empty but for its metadata."""
    noted = tmp_path / "packages" / "roommood-0.1.0.dist-info"
    noted.mkdir(parents=True)
    (noted / "METADATA").write_text("Metadata-Version: 2.1\nName: roommood\nVersion: 0.1.0\n")
    monkeypatch.setattr(sys, "path", [str(noted.parent)])
    return noted


def note(installed: Path, path: Path, editable: bool = False) -> None:
    document = {"url": f"file://{pathname2url(str(path))}", "dir_info": {"editable": editable}}
    (installed / "direct_url.json").write_text(json.dumps(document))


def test_more_of_a_clone_comes_from_the_clone(installed: Path, tmp_path: Path) -> None:
    clone = tmp_path / "my clone"
    clone.mkdir()
    note(installed, clone, editable=True)
    assert origin() == Origin(clone, editable=True)
    assert how_to_install("worker").endswith(f'-m pip install --editable "{clone}[worker]"')


def test_what_lies_below_is_named_as_a_person_there_would(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    note(installed, tmp_path)
    assert how_to_install("mqtt") == '.venv/bin/python -m pip install ".[mqtt]"'
    (tmp_path / "r.whl").touch()
    note(installed, tmp_path / "r.whl")
    assert how_to_install("mqtt") == '.venv/bin/python -m pip install "./r.whl[mqtt]"'


@pytest.mark.parametrize("is_noted", [True, False])
def test_without_its_wheel_nothing_is_fetched_by_its_name(
    installed: Path, tmp_path: Path, is_noted: bool
) -> None:
    if is_noted:
        note(installed, tmp_path / "deleted.whl")
    assert origin() is None
    assert '"FILE-OR-FOLDER[worker]", the wheel or the clone' in how_to_install("worker")


@pytest.mark.parametrize(
    "damaged",
    [b"{", b"[" * 200_000, b"\xff\xfe", b"[1]", b'"file:///"', b'{"url": 5}', b'{"url": "file://["}',
     b'{"url": "file:///%00"}', b'{"url": "file:///' + b"x" * 5_000 + b'"}'],
)  # fmt: skip
def test_a_damaged_note_is_none(installed: Path, damaged: bytes) -> None:
    (installed / "direct_url.json").write_bytes(damaged)
    assert origin() is None


def test_a_note_whose_details_are_damaged_still_names_the_wheel(
    installed: Path, tmp_path: Path
) -> None:
    document = {"url": f"file://{pathname2url(str(tmp_path))}", "dir_info": [1]}
    (installed / "direct_url.json").write_text(json.dumps(document))
    assert origin() == Origin(tmp_path)


def test_a_python_in_a_folder_whose_name_has_a_space_can_be_pasted(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = tmp_path / "my rooms"
    clone.mkdir()
    monkeypatch.setattr(sys, "executable", str(clone / "python"))
    note(installed, clone)
    words = shlex.split(how_to_install("worker"))
    assert (words[0], words[-1]) == (str(clone / "python"), f"{clone}[worker]")
