"""Labelling in a terminal, also over SSH: the face as half-block characters, keys for labels."""

import os
import re
import sys
import termios
import tty
from collections import deque
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.style import Style
from rich.text import Text

from roommood.inference_worker.vision.opencv import Picture, gray, resize
from roommood.training.collect.collect import KEYS, Counts, FaceCrop

_HELP: Final = "space skip   u undo   q quit"
_LINES_BELOW: Final = 6
_SHADES: Final = " .:-=+*#%@"
# An arrow key sends escape and letters, which are no labels.
_SEQUENCE: Final = re.compile(r"\x1b(\[[0-9;]*[A-Za-z~]|O[A-Z]|.)?")


class Screen:
    """Shows faces and reads keys between entering and leaving; needs a terminal as input."""

    def __init__(self, console: Console, keyboard: int | None = None) -> None:
        self._console = console
        self._keyboard = sys.stdin.fileno() if keyboard is None else keyboard
        self._typed: deque[str] = deque()
        self._live = Live(console=console, screen=True, auto_refresh=False)

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._keyboard)
        tty.setcbreak(self._keyboard)
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()
        termios.tcsetattr(self._keyboard, termios.TCSADRAIN, self._before)

    def __call__(self, face: FaceCrop, counts: Counts) -> str:
        """Show a face with the counts and wait for one key; "" when there will be none."""
        rows = min(max(self._console.height - _LINES_BELOW, 8), 28, self._console.width // 2)
        coloured = self._console.color_system is not None
        shown = half_blocks(face.pixels, rows) if coloured else shades(face.pixels, rows)
        self._live.update(Group(shown, _legend(face, counts)), refresh=True)
        return self._key()

    def _key(self) -> str:
        while not self._typed:
            typed = os.read(self._keyboard, 32)
            if not typed:
                return ""
            self._typed.extend(_SEQUENCE.sub("", typed.decode("ascii", "ignore")).lower())
        return self._typed.popleft()


def half_blocks(picture: Picture, rows: int) -> Text:
    """A BGR picture as `rows` lines of twice as many characters, two pixels in each."""
    pixels = resize(picture, 2 * rows, 2 * rows)[..., ::-1].tolist()
    text = Text()
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        for top, bottom in zip(upper, lower, strict=True):
            text.append("▀", Style(color=_colour(top), bgcolor=_colour(bottom)))
        text.append("\n")
    return text


def shades(picture: Picture, rows: int) -> Text:
    """A BGR picture in characters from dark to light, for terminals without colours."""
    levels = gray(resize(picture, 2 * rows, rows)).astype(int) * len(_SHADES) // 256
    return Text("\n".join("".join(_SHADES[level] for level in line) for line in levels) + "\n")


def _colour(rgb: list[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def _legend(face: FaceCrop, counts: Counts) -> Text:
    parts = [
        f"{number} {key} {name} {counts[name]}"
        for number, (key, name) in enumerate(KEYS.items(), 1)
    ]
    kept = sum(counts.values())
    keys = "   ".join(parts[:4]) + "\n" + "   ".join(parts[4:])
    return Text(f"{keys}\nface of {face.side_px:.0f} px   {kept} kept   {_HELP}")
