"""The peers, in an environment of their own: imagezmq, vidgear, and fer with TensorFlow.

    python -m benchmarks.peers

fer is installed without what its video and MTCNN parts want (torch among it): neither is used.
"""

import subprocess
import sys
import venv
from typing import Final

from benchmarks.processes import ROOT

FOLDER: Final = ROOT / "build" / "bench-venv"
PYTHON: Final = FOLDER / "bin" / "python"
_STAMP: Final = FOLDER / "peers.stamp"
_WANTED: Final = (
    "imagezmq==1.2.0",
    "vidgear[core]==0.3.6",
    "opencv-python-headless>=4.12,<5",
    "tensorflow-cpu>=2.18",
    "pandas",
    "requests",
    # fer imports pkg_resources, which later setuptools lack.
    "setuptools<81",
)
_WITHOUT_DEPENDENCIES: Final = ("fer==25.10.3",)


def install() -> None:
    """Installs the peers, once; some minutes and 2 GB. Raises CalledProcessError."""
    if _STAMP.is_file():
        return
    print(f"Installing imagezmq, vidgear, fer and TensorFlow into {FOLDER} ...", flush=True)
    if not PYTHON.is_file():
        venv.create(FOLDER, with_pip=True)
    _pip(*_WANTED)
    _pip("--no-deps", *_WITHOUT_DEPENDENCIES)
    _STAMP.touch()


def versions() -> dict[str, str]:
    """Versions of the peers by name; none where nobody has installed them."""
    if not _STAMP.exists():
        return {}
    names = ("imagezmq", "vidgear", "fer", "tensorflow-cpu", "pyzmq", "simplejpeg")
    code = (
        f"from importlib.metadata import version\nfor name in {names!r}: print(name, version(name))"
    )
    output = subprocess.run(
        [PYTHON, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    return dict(line.split() for line in output.splitlines())


def _pip(*arguments: str) -> None:
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", *arguments]
    subprocess.run(command, check=True, stdout=sys.stderr)


if __name__ == "__main__":
    install()
