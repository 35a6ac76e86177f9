"""What the board tells of itself."""

from pathlib import Path
from typing import Final

_THERMAL: Final = Path("/sys/class/thermal/thermal_zone0/temp")


def temperature_c() -> float | None:
    """The board's temperature, or None where the system does not tell."""
    try:
        return int(_THERMAL.read_text()) / 1000.0
    except (OSError, ValueError):
        return None
