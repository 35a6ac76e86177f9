"""A picamera2 as Raspberry Pi OS bookworm has it: it imports a simplejpeg built for numpy 1."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Cython's own words where the size of a structure is not the one that was compiled in.
SIZE_CHANGED = (
    "numpy.dtype size changed, may indicate binary incompatibility. "
    "Expected 96 from C header, got 88 from PyObject"
)
_SIMPLEJPEG = f"""
import numpy
if not numpy.__version__.startswith("1."):
    raise ValueError({SIZE_CHANGED!r})
"""
_PICAMERA2 = """
import simplejpeg
class Picamera2:
    @staticmethod
    def global_camera_info():
        return []
"""


@pytest.fixture
def bookworm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder in which picamera2 and simplejpeg lie; nothing of them stays imported."""
    for name, text in (("simplejpeg", _SIMPLEJPEG), ("picamera2", _PICAMERA2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("simplejpeg", "picamera2"):
        sys.modules.pop(name, None)
