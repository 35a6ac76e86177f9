"""Whether this machine's clock is kept."""

from roommood.deploy.doctor.findings import Finding, ok, skipped, warn
from roommood.shared.clock_kept import is_clock_kept


def clock_finding() -> Finding:
    """The aggregator books results by this clock, and a camera keeps its own quiet hours by it."""
    is_kept = is_clock_kept()
    if is_kept is None:
        return skipped("clock", "this system does not tell whether its clock is kept")
    if not is_kept:
        text = (
            "not synchronised: an aggregator here books results at the wrong time of day, and a "
            "camera keeps quiet_hours at another"
        )
        return warn("clock", text, "timedatectl set-ntp true (else they need no clock)")
    return ok("clock", "synchronised")
