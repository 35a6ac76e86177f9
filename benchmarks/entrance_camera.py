"""A camera node with pictures in memory that writes down when somebody comes in.

Takes the options of `benchmarks.memory_camera`; the source is FOLDER#FIRST#FILE: whenever picture
FIRST is captured, a line with its time (`boot_ms`) goes into FILE.
"""

from pathlib import Path

from benchmarks.memory_camera import MemorySource
from roommood.camera_node import cli, node
from roommood.camera_node.sources.picture import Grabbed, Picture, Source


class EntranceSource(MemorySource):
    """Plays on while nobody asks, as time does."""

    def __init__(self, spec: str, rate_hz: float) -> None:
        folder, first, file = spec.split("#")
        super().__init__(folder, rate_hz)
        self._first, self._file = int(first), Path(file)
        files = sorted(Path(folder).glob("*.jpg"))
        self._stream = [Picture.of_jpeg(path.read_bytes(), 0.0) for path in files]
        self._number = -1

    def grab(self) -> Grabbed:
        grabbed = super().grab()
        self._number = (self._number + 1) % len(self._stream)
        if self._number == self._first:
            with self._file.open("a") as times:
                times.write(f"{self._due_ms}\n")
        return grabbed

    def retrieve(self) -> Picture:
        now = self._stream[self._number]
        return Picture(self._due_ms, now.width, now.height, jpeg=now.jpeg)


def _open(spec: str, *, rate_hz: float | None = None, **_: object) -> Source:
    return EntranceSource(spec, rate_hz or 30.0)


def main() -> None:
    setattr(node, "open_source", _open)  # noqa: B010
    cli.main()


if __name__ == "__main__":
    main()
