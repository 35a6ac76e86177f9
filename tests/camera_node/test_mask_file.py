"""Masks as lines to paste, and into a settings file that stays as it was otherwise."""

import os
import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roommood.camera_node.mask_file import as_toml, save
from roommood.camera_node.masks import parse_masks
from roommood.shared.errors import ConfigError
from roommood.shared.process.settings import CameraSettings, load

MASK = [[0.0, 0.0], [0.5, 0.0], [0.25, 0.75]]
OTHER = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]
FILES = {
    "without masks": '# Mine.\n[camera]  # door\nname = "door"\nroom = "hall"\n\n'
    "[worker]\nthreads = 2\n",
    "with masks": '[camera]\nname = "door"\nmasks = [[[0.0, 0.0], [1, 0], [1, 1]]] # old\n'
    'room = "hall"\n',
    "with masks over lines": '[camera]\nname = "door"\nmasks = [\n  # a ] in a comment\n  '
    '[[0, 0],\n[1, 0], [1, 1]],\n]\nroom = "hall"\n[worker]\nthreads = 2\n',
    "last, without a newline": '[worker]\nthreads = 2\n[camera]\nroom = "hall"\nname = "door"',
    "with brackets in texts": '[camera]\nquiet_hours = ["22:00-06:30"]\nname = "door"\n'
    'room = "hall"\nsource = "photos/[x]"\n[aggregator]\nmin_people = 2\n',
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES.keys())
@pytest.mark.parametrize("masks", [[], [MASK], [MASK, OTHER]], ids=["none", "one", "two"])
def test_all_else_in_the_file_stays(
    tmp_path: Path, text: str, masks: list[list[list[float]]]
) -> None:
    path = tmp_path / "roommood.toml"
    path.write_text(text)
    before = tomllib.loads(text)
    save(path, masks)
    after = tomllib.loads(path.read_text())
    assert after["camera"].pop("masks") == masks
    before["camera"].pop("masks", None)
    assert after == before
    assert text.count("# Mine.") == path.read_text().count("# Mine.")
    assert len(load(CameraSettings, path, {}).masks) == len(masks)
    save(path, masks)
    assert tomllib.loads(path.read_text())["camera"]["masks"] == masks


def test_a_file_without_a_camera_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "roommood.toml"
    path.write_text("[worker]\nthreads = 2\n")
    save(path, [MASK])
    assert tomllib.loads(path.read_text()) == {
        "worker": {"threads": 2},
        "camera": {"masks": [MASK]},
    }


@pytest.mark.parametrize(
    "text",
    ["camera = {name = 'door'}\n", "camera.name = 'door'\n", "[camera]\n'masks' = []\n", "[camera"],
)
def test_what_is_not_understood_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "roommood.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"not understood|cannot be read"):
        save(path, [MASK])
    assert path.read_text() == text
    assert os.listdir(tmp_path) == ["roommood.toml"]


def test_its_rights_stay(tmp_path: Path) -> None:
    path = tmp_path / "roommood.toml"
    path.write_text(FILES["without masks"])
    path.chmod(0o640)
    save(path, [MASK])
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


fractions = st.integers(0, 1000).map(lambda n: n / 1000)
polygons = st.lists(st.lists(st.tuples(fractions, fractions).map(list), min_size=3, max_size=9))


@given(polygons)
def test_lines_to_paste_mean_what_was_drawn(drawn: list[list[list[float]]]) -> None:
    assert tomllib.loads(as_toml(drawn))["masks"] == drawn


def test_lines_to_paste_are_masks() -> None:
    assert len(parse_masks(tomllib.loads(as_toml([MASK, OTHER]))["masks"])) == 2
