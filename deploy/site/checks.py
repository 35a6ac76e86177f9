"""Whether a release does its work on its machine, asked there over HTTP and of systemd."""

import time
from collections.abc import Callable
from typing import Final

from roommood.deploy.site.machine import Machine, MachineError
from roommood.deploy.site.release import Release

# Seconds in which the first frames of a camera must have been asked for.
_FRAMES_S: Final = 60.0
_READY_S: Final = 30.0
_ENOUGH_FRAMES: Final = 3
_LOOK_EVERY_S: Final = 0.5


def all_stay_up(machine: Machine, release: Release) -> None:
    """Raises MachineError where a unit that came up ends again within seconds."""
    units = " ".join(release.units)
    done, output = machine.attempt(
        f"sleep 3; systemctl is-active {units} && systemctl show -P NRestarts {units}"
    )
    restarts = [line for line in output.split() if line.isdecimal() and line != "0"]
    if not done or restarts:
        logs = _end_of_log(machine, " -u ".join(release.units))
        raise MachineError(f"{machine.name}: not all units stay up:\n{logs}")
    for what, port in release.ready:
        _until_ready(machine, what, port)


def frames_flow(machine: Machine, release: Release) -> None:
    """Raises MachineError where no worker asks the camera for frames within a minute."""
    ((unit, port),) = release.ready
    _until(
        lambda: _frames_sent(machine, port) >= _ENOUGH_FRAMES, _FRAMES_S,
        lambda: f"{machine.name}: no frame arrived at a worker within {_FRAMES_S:g} s; its log "
        f"ends:\n{_end_of_log(machine, unit)}",
    )  # fmt: skip


def _until_ready(machine: Machine, unit: str, port: int) -> None:
    def why() -> str:
        return f"{machine.name}: {unit} is not ready:\n{_end_of_log(machine, unit)}"

    _until(lambda: _get(machine, port, "readyz")[0], _READY_S, why)


def _until(holds: Callable[[], bool], timeout_s: float, why: Callable[[], str]) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > end:
            raise MachineError(why())
        time.sleep(_LOOK_EVERY_S)


def _end_of_log(machine: Machine, unit: str) -> str:
    return machine.attempt(f"journalctl -u {unit} -n 10 --no-pager -o cat")[1]


def _get(machine: Machine, port: int, path: str) -> tuple[bool, str]:
    """What a component answers over HTTP, asked on its own machine."""
    return machine.attempt(
        'python3 -c "import urllib.request as u; '
        f"print(u.urlopen('http://127.0.0.1:{port}/{path}', timeout=5).read().decode())\""
    )


def _frames_sent(machine: Machine, port: int) -> int:
    """Frames that workers have asked for since the camera node started."""
    done, output = _get(machine, port, "metrics")
    name = "roommood_camera_frames_sent_total"
    counts = [line.split()[-1] for line in output.splitlines() if line.startswith(name)]
    return int(float(counts[0])) if done and counts else 0
