"""A settings file that holds the password of a camera is for its owner only."""

from pathlib import Path

import pytest

from roommood.shared.errors import ConfigError
from roommood.shared.process.settings import CameraSettings
from roommood.shared.process.settings.load import load

NAMES = '[camera]\nname = "a"\nroom = "b"\n'


def settings(path: Path, source: str, mode: int) -> CameraSettings:
    path.write_text(f'{NAMES}source = "{source}"\n')
    path.chmod(mode)
    return load(CameraSettings, path, {})


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
@pytest.mark.parametrize(
    "source", ["rtsp://me:SECRET@cam/v", "http://cam/v?passwd=SECRET", "rtsp://cam/u&pwd=SECRET"]
)
def test_a_password_that_others_can_read_is_refused(tmp_path: Path, source: str, mode: int) -> None:
    with pytest.raises(ConfigError, match=r":4: source holds a password.*chmod 600") as caught:
        settings(tmp_path / "camera.toml", source, mode)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "mode"), [("rtsp://me:pw@cam/v", 0o600), ("rtsp://me@cam/v", 0o644)]
)
def test_a_file_of_ones_own_or_without_a_password_is_taken(
    tmp_path: Path, source: str, mode: int
) -> None:
    assert settings(tmp_path / "camera.toml", source, mode).source == source
