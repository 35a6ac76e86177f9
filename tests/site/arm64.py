"""An arm64 Debian on this machine: debootstrap's root, run by qemu's user emulation or natively."""

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.site.containers import tell
from tests.site.machines import debootstrap
from tests.site.wheelhouse import ROOT

_BINFMT: Final = Path("/proc/sys/fs/binfmt_misc")
_QEMU: Final = "/usr/bin/qemu-aarch64-static"
# An ELF file of 64 bits, little-endian, for machine 183 (AArch64): gabi, sections 4.1 and 4.2.
_RULE: Final = (
    r":qemu-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    r":\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
    f":{_QEMU}:F"
)
_PACKAGES: Final = "python3,python3-venv,ca-certificates"
_TAGS: Final = ("_2_28", "_2_27", "_2_26", "_2_17", "2014")
_PLATFORMS: Final = tuple(f"--platform=manylinux{tag}_aarch64" for tag in _TAGS)


def why_not_here() -> str:
    """Why arm64 programs cannot be run here; "" if they can."""
    if os.geteuid() != 0:
        return "a chroot needs root"
    needed = ["debootstrap"] if platform.machine() == "aarch64" else ["debootstrap", _QEMU]
    lacking = [name for name in needed if shutil.which(name) is None]
    return f"no {', '.join(lacking)}: apt-get install debootstrap qemu-user-static" * bool(lacking)


def register() -> None:
    """Lets the kernel run arm64 programs by qemu, where it does not yet."""
    if platform.machine() == "aarch64" or (_BINFMT / "qemu-aarch64").exists():
        return
    if not (_BINFMT / "register").exists():
        tell("mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT))
    if not (_BINFMT / "qemu-aarch64").exists():
        (_BINFMT / "register").write_text(_RULE)


def base_root(folder: Path) -> Path:
    """Made once: three minutes on a quiet machine, most of them emulated."""
    base = folder / "arm64"
    if not (base / "made").exists():
        shutil.rmtree(base, ignore_errors=True)
        debootstrap(base, "--arch=arm64", f"--include={_PACKAGES}", timeout_s=3600)
        (base / "made").touch()
    return base


def wheels(folder: Path) -> Path:
    """What a camera needs on arm64, for the root's Python."""
    if not (folder / "complete").exists():
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        expected = [*project["dependencies"], *project["optional-dependencies"]["camera"]]
        tell(
            sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:",
            "--dest", str(folder), *_PLATFORMS, "--python-version", "3.11",
            "--implementation", "cp", *expected, timeout_s=900,
        )  # fmt: skip
        (folder / "complete").touch()
    return folder


@contextlib.contextmanager
def machine(base: Path, scratch: Path) -> Iterator[Path]:
    """A root of its own over `base`, with /proc and /dev; all that was written goes with it."""
    root, upper, work = (scratch / part for part in ("root", "upper", "work"))
    for folder in (root, upper, work):
        folder.mkdir()
    layers = f"lowerdir={base},upperdir={upper},workdir={work}"
    tell("mount", "-t", "overlay", "overlay", "-o", layers, str(root))
    try:
        tell("mount", "-t", "proc", "proc", str(root / "proc"))
        tell("mount", "--bind", "/dev", str(root / "dev"))
        yield root
    finally:
        for mount in ("dev", "proc", "."):
            subprocess.run(["umount", "--lazy", str(root / mount)], check=False)


def peak_rss_mib(process: "subprocess.Popen[bytes]") -> float:
    """What a process took at most, qemu's own memory included."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak) * 1024 / 2**20
