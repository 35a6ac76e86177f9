"""The parts that a machine has: what was there before parts, what stands beside, and removal."""

from roommood.deploy.site.machine import Machine
from roommood.deploy.site.open_files import put_files
from roommood.deploy.site.parts import (
    ACTIVATE,
    ALLOWED,
    DATA,
    DESKTOP_PART,
    ETC,
    FORMER_CAMERA_KEY,
    KEYS,
    REDIS,
    ROOT,
    Part,
    part_in,
)
from roommood.deploy.site.rollout import INSTALL_S, SYSUSERS, activate_script
from roommood.deploy.site.secrets import aside

# While a machine had one part, its releases lay where the parts' folders now are. They move into
# the folder of that part, and links stay behind for what still runs.
_ADOPT = """
set -eu
cd {root}
[ -d releases ] && [ ! -L releases ] && [ ! -e {part} ] || exit 0
grep -q {word} current/units.run || exit 0
mkdir -p {part}
for one in releases venvs; do mv $one {part}/ && ln -s {part}/$one $one; done
[ ! -e redis-users ] || mv redis-users {part}/
ln -s "$(readlink current)" {part}/current
echo adopted
"""
# Once no release of that time is kept, nothing looks for it there any more.
_FORGET_FORMER = """
cd {root} && [ -L releases ] || exit 0
grep -qs '^ExecStart={root}/current/' */releases/*/units/*.service && exit 0
grep -qs '^ExecStart={root}/current/' cameras/*/releases/*/units/*.service && exit 0
rm -f current releases venvs {key}
"""


def adopt(machine: Machine, part: Part) -> bool:
    """Makes the release of a machine from before parts that part's; returns whether it did."""
    word = "aggregator" if part.is_desktop else "camera-node.service"
    result = machine.attempt(_ADOPT.format(root=ROOT, part=part.folder, word=word))
    return result == (True, "adopted")


def forget_former(machine: Machine) -> None:
    """Takes away the links that adopting left, where nothing needs them."""
    machine.attempt(_FORGET_FORMER.format(root=ROOT, key=FORMER_CAMERA_KEY))


def parts_of(machine: Machine) -> list[Part]:
    """The parts that lie on a machine, whether they run or not."""
    _, output = machine.attempt(f"{{ cd {ROOT} && ls -d desktop cameras/*; }} 2>/dev/null")
    return [part_in(folder) for folder in output.split() if not folder.endswith("*")]


def identity(machine: Machine) -> str:
    """The same for one machine by whatever name, and no other's; "" where it cannot be told.

    Cards that were copied share the first line, and containers the second.
    """
    done, output = machine.attempt("cat /etc/machine-id /proc/sys/kernel/random/boot_id")
    return output if done else ""


def remove(machine: Machine, part: Part, *, purge: bool) -> list[str]:
    """Takes a part off a machine, with `purge` what was counted too; returns what was there.

    What it shares with other parts goes with the last of them, Debian's packages among it; without
    `purge` these keep their data as well.
    """
    adopt(machine, part)
    removed = [str(part.root)] if machine.attempt(f"test -e {part.root}")[0] else []
    if removed:
        # It may be one of a time when a machine had one part.
        put_files(machine, [activate_script()])
        machine.attempt(f"{ACTIVATE} {part.folder} --stop", timeout_s=INSTALL_S)
        secrets = [str(path) for kept in part.secrets for path in (kept, aside(kept))]
        machine.run(f"rm -rf {part.root} {' '.join(secrets)}", timeout_s=INSTALL_S)
        machine.attempt(f"rmdir {ALLOWED} {REDIS} {KEYS} {ETC}/cameras {ROOT}/cameras 2>/dev/null")
    if purge and part == DESKTOP_PART and machine.attempt(f"test -e {DATA}")[0]:
        removed.append(str(DATA))
    if not parts_of(machine):
        removed += _remove_what_was_shared(machine, purge=purge)
    if str(DATA) in removed:
        machine.run(f"rm -rf {DATA}", timeout_s=INSTALL_S)
    return removed


def _remove_what_was_shared(machine: Machine, *, purge: bool) -> list[str]:
    removed = machine.run(f"ls -d {ROOT} {ETC} {SYSUSERS} 2>/dev/null; true").split()
    if not removed:
        return []
    packages = machine.attempt(f"cat {ROOT}/packages")
    if packages[0] and packages[1]:
        names, verb = " ".join(packages[1].split()), "purge" if purge else "remove"
        machine.run(
            f"DEBIAN_FRONTEND=noninteractive apt-get {verb} -y -qq --autoremove {names}",
            timeout_s=INSTALL_S,
        )
        removed.append(f"packages {names}")
    machine.run(f"rm -rf {ROOT} {ETC} {SYSUSERS}", timeout_s=INSTALL_S)
    machine.attempt("userdel roommood; groupdel roommood; true")
    return removed
