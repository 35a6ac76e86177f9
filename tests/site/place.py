"""A site on machines that boot: deployed as a person would, and looked at in Redis."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.end_to_end.site import until as until_in
from tests.inference_worker.pictures import astronaut, grace_hopper, jpeg
from tests.site.machines import BOOKWORM, PATIENCE_S, PYTHON, SUITE, Booted
from tests.site.wheelhouse import ROOT, fill, make_wheel

BUILD: Final = ROOT / "build" / ("site" if SUITE == BOOKWORM else f"site-{SUITE}")
ROOMS: Final = ("kitchen", "den")
TWO_PIS: Final = """
[desktop]
host = "{desk}"
ssh_key = "{key}"

[[camera]]
name = "kitchen-1"
room = "kitchen"
host = "{kitchen}"
ssh_key = "{key}"
source = "simulated:/srv/portraits"
rate_hz = 5

[[camera]]
name = "den-1"
room = "den"
host = "{den}"
ssh_key = "{key}"
source = "simulated:/srv/portraits"
rate_hz = 5
"""
_ASK: Final = (
    "set -e; export REDISCLI_AUTH=$(head -1 /etc/roommood/keys/redis-reader.password); "
    'ask="redis-cli -e -p 5770 --user reader"'
)


def until(condition: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> bool:
    """With the patience that a machine which starts services wants."""
    return bool(until_in(condition, what, timeout_s))


@dataclass
class Place:
    """The desktop, and the folder with the site's file, its keys and the wheels."""

    folder: Path
    desk: Booted
    room_names: tuple[str, ...]

    def deploy(self, *options: str, typed: str = "") -> tuple[int, str]:
        """`roommood deploy`, its exit code and what it said; `typed` answers its questions."""
        command = [
            sys.executable, "-P", "-c", "from roommood.deploy.cli import main; main()", "deploy",
            str(self.folder / "site.toml"), "--wheelhouse", str(self.folder / "wheels"), *options,
        ]  # fmt: skip
        # A user who has never used ssh before.
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        done = subprocess.run(
            command, input=typed, capture_output=True, text=True, timeout=1_800, check=False,
            cwd=ROOT, env={**os.environ, "HOME": str(home)},
        )  # fmt: skip
        output = done.stdout + done.stderr
        logging.getLogger(__name__).info(output)
        return done.returncode, output

    def release(self, version: str, broken: str = "") -> None:
        """Puts a wheel of this version, newer than any before, into the wheelhouse."""
        make_wheel(self.folder / "wheels", self.folder / "scratch", version, broken)

    def rooms(self) -> dict[str, int]:
        """Frames counted in each room, as Redis has them, in buckets of an hour."""
        return {room: self._frames(room) for room in self.room_names}

    def _frames(self, room: str) -> int:
        words = self._of_each_key("hgetall", f"roommood:{{{room}}}:1h:*").split()
        pairs = zip(words[::2], words[1::2], strict=True)
        return sum(int(value) for name, value in pairs if name.startswith("frames:"))

    def seen(self, room: str) -> int:
        """Frames of which Redis has noted that they were counted."""
        counts = self._of_each_key("bitcount", f"roommood:{{{room}}}:seen:*")
        return sum(int(count) for count in counts.split())

    def redis(self, command: str) -> str:
        return self._on_desk(f"$ask {command}")

    def _of_each_key(self, command: str, pattern: str) -> str:
        """What Redis answers of all keys of a pattern."""
        scan = f'keys=$($ask --scan --pattern "{pattern}")'
        return self._on_desk(f"{scan}; for key in $keys; do $ask {command} $key; done")

    def _on_desk(self, script: str) -> str:
        """Redis may just have been killed, and be on its way back."""
        answers: list[str] = []

        def is_told() -> bool:
            done, output = self.desk.attempt(f"sh -c '{_ASK}; {script}'")
            answers.append(output)
            return done

        until(is_told, "Redis answers")
        return answers[-1]

    def flows(self, room: str) -> Callable[[], bool]:
        """Whether more frames of a room are counted than now."""
        before = self._frames(room)
        return lambda: self._frames(room) > before


def link_wheels(folder: Path) -> None:
    """The wheels of other packages, as a folder of a site's own."""
    fill(BUILD / "wheels", PYTHON)
    wheels = folder / "wheels"
    wheels.mkdir()
    for wheel in (BUILD / "wheels").glob("*.whl"):
        if wheel.stat().st_dev == wheels.stat().st_dev:
            os.link(wheel, wheels / wheel.name)
        else:
            (wheels / wheel.name).write_bytes(wheel.read_bytes())


def hang_portraits(machine: Booted) -> None:
    """What the simulated camera of a machine shows."""
    portraits = machine.root / "srv/portraits"
    portraits.mkdir()
    for name, picture in (("a", astronaut()), ("b", grace_hopper())):
        (portraits / f"{name}.jpg").write_bytes(jpeg(picture))
