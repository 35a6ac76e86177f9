"""Which wheels a machine installs: all from a folder of wheels (offline), or roommood's own as it
runs here and what that needs from a package index, which never is asked for roommood itself."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from roommood.deploy.site.own_wheel import own_wheel
from roommood.shared.errors import ConfigError

_NAME: Final = re.compile(
    r"(?P<name>[A-Za-z0-9_.]+)-(?P<version>[^-]+)(?:-\d[^-]*)?"
    r"-(?P<python>[^-]+)-(?P<abi>[^-]+)-(?P<platform>[^-]+)\.whl"
)


@dataclass(frozen=True, slots=True)
class Python:
    """A machine's interpreter: `version` as in 3.11, `machine` as `uname -m` says."""

    version: str
    machine: str


@dataclass(frozen=True, slots=True)
class Wheels:
    """What pip is given on one machine: `files`, roommood's first, of which it takes what
    `requirement` needs. Where they are not `all_of_it`, the rest comes from its package index."""

    requirement: str
    files: tuple[Path, ...]
    all_of_it: bool = True

    @property
    def digest(self) -> str:
        """Stands for the content; two machines with the same digest install the same."""
        digest = hashlib.sha256(self.requirement.encode())
        for path in self.files:
            digest.update(path.name.encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:12]

    def for_pip(self, folder: str) -> str:
        """The arguments of `pip install` on a machine where the files lie in `folder`."""
        if self.all_of_it:
            return f"--no-index --find-links {folder} '{self.requirement}'"
        name, _, _ = self.requirement.partition("==")
        return f"'{name} @ file://{folder}/{self.files[0].name}'"

    def programs(self, python: Python, system_site_packages: bool) -> str:
        """Name of the environment: another interpreter, or other wheels, is another one."""
        system = "-system" if system_site_packages else ""
        return f"{python.version}{system}-{self.digest}"


def choose_wheels(folder: Path | None, python: Python, extras: tuple[str, ...]) -> Wheels:
    """The wheels of `folder` that fit a machine, roommood's newest among them.

    Without a folder: roommood's own. Raises ConfigError where there is none of roommood: it says
    how to fill the folder.
    """
    extra = ",".join(extras)
    if folder is None:
        own_file = own_wheel()
        return Wheels(f"roommood[{extra}]=={_version(own_file)}", (own_file,), all_of_it=False)
    paths = sorted(path for path in folder.glob("*.whl") if _fits(path.name, python))
    own = [path for path in paths if path.name.startswith("roommood-")]
    if not own:
        raise ConfigError(
            f"no wheel of roommood in {folder}: `pip wheel --no-deps --wheel-dir {folder} .` "
            "in its source makes one; docs/site.md says how to get the others"
        )
    newest = max(own, key=lambda path: (_numbers(path), path.stat().st_mtime))
    others = [path for path in paths if path not in own]
    return Wheels(f"roommood[{extra}]=={_version(newest)}", (newest, *others))


def _version(wheel: Path) -> str:
    return wheel.name.split("-")[1]


def _fits(name: str, python: Python) -> bool:
    """Whether a wheel may serve; pip has the last word on the C library's version."""
    parts = _NAME.fullmatch(name)
    if parts is None:
        return False
    platform = parts["platform"]
    if platform != "any" and not platform.endswith(f"_{python.machine}"):
        return False
    if "musllinux" in platform and "manylinux" not in platform:
        return False
    return any(_speaks(tag, parts["abi"], python) for tag in parts["python"].split("."))


def _speaks(tag: str, abi: str, python: Python) -> bool:
    ours = python.version.replace(".", "")
    if tag in ("py3", f"py{ours}", f"cp{ours}"):
        # Built for threads without the lock, it is another interpreter.
        return not abi.endswith("t") or abi == "none"
    # The stable interface: any later Python 3 will do.
    old = re.fullmatch(r"cp3(\d+)", tag)
    if old is None or "abi3" not in abi:
        return False
    return int(old[1]) <= int(python.version.split(".")[1])


def _numbers(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", _version(path)))
