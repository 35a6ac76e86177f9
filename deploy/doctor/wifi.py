"""Whether Wi-Fi saves power: it then sleeps between beacons, and each frame waits for it."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from roommood.deploy.doctor.findings import Finding, ok, skipped, warn

_INTERFACES: Final = Path("/sys/class/net")
# Debian keeps it where only root's PATH leads.
_PLACES: Final = "/usr/sbin:/sbin"
_ASK_S: Final = 5.0


def wifi_findings(interfaces: Path = _INTERFACES) -> Iterator[Finding]:
    """One for each wireless interface that is up; none where there is no such."""
    for link in sorted(interfaces.glob("*/phy80211")):
        if (link.parent / "operstate").read_text().strip() == "up":
            yield _power_saving(link.parent.name)


def _power_saving(name: str) -> Finding:
    iw = shutil.which("iw") or shutil.which("iw", path=_PLACES)
    if not iw:
        return skipped("wifi", f"whether {name} saves power is not known: sudo apt install iw")
    answer = _ask(iw, "dev", name, "get", "power_save")
    if answer.endswith(": on"):
        todo = f"sudo iw dev {name} set power_save off (until the next start; docs/first-pi.md)"
        return warn("wifi", f"{name} saves power: 50 to 130 ms a frame instead of 6", todo)
    if answer.endswith(": off"):
        return ok("wifi", f"{name} does not save power")
    return skipped(
        "wifi", f"whether {name} saves power is not known: {answer or 'iw says nothing'}"
    )


def _ask(*command: str) -> str:
    """The last line that a command says; "" where it does not answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[-1].strip() if lines else ""
