"""Files that an editor saved in another encoding are told as that, wherever they are read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from roommood.camera_node.mask_file import save
from roommood.inference_worker.models.contract import FaceContract, from_table
from roommood.shared.errors import ConfigError, ModelError
from roommood.shared.process.settings.file import SettingsFile
from roommood.shared.security.keys import read_key_file
from roommood.shared.security.password_file import read_password
from roommood.shared.text_file import read_text

READERS: list[Callable[[Path], object]] = [
    SettingsFile.read,
    read_password,
    lambda path: read_key_file(path, "camera"),
    lambda path: save(path, ()),
]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "latin-1"])
@pytest.mark.parametrize("read", READERS, ids=["settings", "password", "keys", "masks"])
def test_what_is_not_utf8_is_told_with_what_to_do(
    read: Callable[[Path], object], encoding: str, tmp_path: Path
) -> None:
    file = tmp_path / "file.toml"
    file.write_bytes('[camera]\nroom = "küche"\n'.encode(encoding))
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="as UTF-8") as caught:
        read(file)
    assert "codec" not in str(caught.value)
    assert ("line 2" in str(caught.value)) == (encoding == "latin-1")


def test_lines_end_as_they_do_here_and_a_byte_order_mark_is_none_of_the_text(
    tmp_path: Path,
) -> None:
    file = tmp_path / "file.toml"
    file.write_bytes("\ufeffküche\r\n2\n".encode())
    assert read_text(file) == "küche\n2\n"


@pytest.mark.parametrize("value", [True, [0.5, True]])
def test_a_switch_is_no_number_of_a_models_contract(value: object) -> None:
    with pytest.raises(ModelError, match="sure_score holds true or false"):
        from_table(FaceContract, {"model_id": "mine", "sure_score": value}, "mine.toml")
