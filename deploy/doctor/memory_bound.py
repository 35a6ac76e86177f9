"""Whether the kernel can bound a service's memory, as `MemoryMax` of a systemd unit asks it to."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from roommood.deploy.doctor.findings import Finding, ok, skipped, warn

_CONTROLLERS: Final = Path("/sys/fs/cgroup/cgroup.controllers")


def memory_bound_findings(controllers: Path = _CONTROLLERS) -> Iterator[Finding]:
    """One on Linux; none elsewhere."""
    if sys.platform != "linux":
        return
    try:
        names = controllers.read_text().split()
    except OSError:
        yield skipped("memory bound", f"not known: there is no {controllers} (cgroups v2) here")
        return
    if "memory" in names:
        yield ok("memory bound", "MemoryMax of systemd's units holds")
    else:
        todo = "add cgroup_enable=memory to the line of /boot/firmware/cmdline.txt, then reboot"
        text = "this kernel has no memory cgroup: MemoryMax of systemd's units does nothing"
        yield warn("memory bound", text, f"{todo} (docs/first-pi.md)")
