"""What has no end, nested or a number, is named as an error by whoever reads it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from roommood.camera_node import mask_file
from roommood.deploy.site.site_file import read_site
from roommood.shared.errors import RoommoodError
from roommood.shared.process.settings import CameraSettings, load
from roommood.shared.security.allow_list import read_allow_list
from roommood.shared.security.keys import read_bundle

ENDLESS = {
    "lists": f"x = {'[' * 20_000}",
    "tables": f"x = {'{a=' * 20_000}",
    "number": f"x = {'1' * 20_000}",
}
READERS: dict[str, Callable[[Path], object]] = {
    "settings": lambda path: load(CameraSettings, path, {}),
    "masks": lambda path: mask_file.save(path, []),
    "site": read_site,
    "allow-list": read_allow_list,
    "key file": read_bundle,
}


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_file_without_end_is_named(
    read: Callable[[Path], object], text: str, tmp_path: Path
) -> None:
    path = tmp_path / "endless.toml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(RoommoodError, match=r"endless\.toml"):
        read(path)
