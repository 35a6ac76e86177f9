"""Rooms brought to what the site's file says of them, by `roommood`'s own commands on the desktop.

They use the writer's login, which lies there and can see which rooms there are.
"""

import shlex
from collections.abc import Iterable
from typing import Final

from roommood.deploy.site.machine import Machine
from roommood.deploy.site.parts import DESKTOP_PART, KEYS, WRITER_PASSWORD
from roommood.deploy.site.release import WRITER_URL
from roommood.deploy.site.rooms import Room

ROOMMOOD: Final = DESKTOP_PART.root / "current/venv/bin/roommood"
# A room of the file may have been seen by nobody yet.
_LOGIN: Final = (
    "--new", "--redis", WRITER_URL, "--redis-password-file", str(KEYS / WRITER_PASSWORD)
)  # fmt: skip


def shell_command(words: tuple[str, ...]) -> str:
    """As the desktop's shell takes it."""
    command, *rest = words
    return shlex.join([str(ROOMMOOD), command, *_LOGIN, *rest])


def set_rooms(machine: Machine, rooms: Iterable[Room]) -> tuple[list[str], bool]:
    """What to say of each room, and whether all is set; after a failure the others are tried."""
    lines, all_set = [], True
    for room in rooms:
        for words in room.commands():
            done, output = machine.attempt(shell_command(words))
            all_set &= done
            if not done:
                output = f"FAILED: roommood {words[0]}: {_in_the_files_words(output)}"
            lines.append(f"room {room.name}: {output}")
    return lines, all_set


def _in_the_files_words(output: str) -> str:
    return output.replace("--timezone", "timezone of this [[room]] in the site's file")
