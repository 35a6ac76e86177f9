"""A machine without IPv4: a network namespace whose loopback has `::1`, an address of a network and
a default route; `localhost` and `desk` are the names of these. The interface eth0 has `fe80::1`."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.needs import missing

_NETWORK = " && ".join(
    (
        "ip link set lo up",
        "ip addr del 127.0.0.1/8 dev lo",
        "ip addr add 2001:db8::7/64 dev lo nodad",
        "ip -6 route add default dev lo src 2001:db8::7",
        "ip link add eth0 type veth peer name eth1",
        "ip link set eth0 up",
        "ip link set eth1 up",
        "ip addr add fe80::1/64 dev eth0 nodad",
        "mount -t tmpfs none /mnt",
        "printf '::1 localhost\\n2001:db8::7 desk\\n' > /mnt/hosts",
        "mount --bind /mnt/hosts /etc/hosts",
    )
)


def run(program: str) -> str:
    """What a program of Python says there."""
    if sys.platform != "linux" or not (shutil.which("unshare") and shutil.which("ip")):
        missing("no network namespaces: apt install iproute2 util-linux")
    as_root = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    space = ("unshare", *as_root, "--net", "--mount", "sh", "-c")
    made = subprocess.run([*space, _NETWORK], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no network namespace without IPv4: {made.stderr}")
    within = [*space, f'{_NETWORK} && exec "$0" -c "$1"', sys.executable, program]
    done = subprocess.run(within, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
