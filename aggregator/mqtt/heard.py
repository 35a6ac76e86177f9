"""What a broker's other clients have said, until the bridge's loop looks."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SwitchCommand:
    """What somebody sent to a command topic. `is_retained`: who knows when."""

    topic: str
    payload: bytes
    is_retained: bool = False


@dataclass(slots=True)
class Heard:
    """What came since the last look. `home_is_up`: what Home Assistant said of itself, None for
    nothing; `is_new`: it has just started, or the broker has, and knows nothing; `is_called_away`:
    somebody else said that the bridge is offline, or another one."""

    is_new: bool = False
    is_called_away: bool = False
    home_is_up: bool | None = None
    configs: set[str] = field(default_factory=set)
    taken_back: set[str] = field(default_factory=set)
    commands: list[SwitchCommand] = field(default_factory=list)
