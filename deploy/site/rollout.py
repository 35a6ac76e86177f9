"""Bringing one machine to its release: staged beside the one that runs, then made current.

Nothing that runs is touched before everything that is needed lies ready. If the new release does
not come up, the one before is made current again.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from roommood.deploy.site.machine import Machine, MachineError, Operation, text_file
from roommood.deploy.site.release import DATA, ETC, ROOT, Release
from roommood.deploy.site.secrets import Secret, put_secrets
from roommood.deploy.site.wheels import Python, Wheels, choose_wheels

ACTIVATE = str(ROOT / "activate")
_LOWEST = (3, 11)
_INSTALL_S = 1_800
_SYSUSERS = "/etc/sysusers.d/roommood.conf"


@dataclass(slots=True)
class Outcome:
    """What became of one machine. `rolled_back_to` is the release that runs again, if one does."""

    machine: str
    changed: list[str] = field(default_factory=list)
    problem: str = ""
    rolled_back_to: str = ""


class Rollout:
    """One machine's way to its release."""

    def __init__(
        self, machine: Machine, release: Release, secrets: Iterable[Secret], wheelhouse: Path | None
    ) -> None:
        self._machine = machine
        self._release = release
        self._secrets = tuple(secrets)
        self._wheelhouse = wheelhouse

    def run(self, check: Callable[[Machine], None], *, dry_run: bool) -> Outcome:
        """Stages, switches if anything is new, checks, and goes back where that fails.

        Raises MachineError where staging fails: what runs was not touched.
        """
        outcome = Outcome(self._machine.name)
        python = self._python()
        wheels = choose_wheels(self._wheelhouse, python, self._release.extras)
        programs = self._programs(python, wheels)
        new = self._release.digest(programs)
        before = self._current()
        outcome.changed += self._stage(new, wheels, programs, dry_run=dry_run)
        changed = self._put_secrets(dry_run=dry_run)
        outcome.changed += changed
        live = {one.path for one in self._secrets if one.is_live}
        idle = [unit for unit in self._release.units if not self._is_active(unit)]
        # What failed the last time is tried again although nothing is new.
        failed = not self._machine.attempt(f"test -f {_good(new)}")[0]
        if before != new or idle or failed or set(changed) - live:
            outcome.changed.append(
                f"release {new} runs" + (f" ({idle[0]} did not)" if idle else "")
            )
            if not dry_run:
                self._switch(new, before, check, outcome)
        return outcome

    # Look

    def _python(self) -> Python:
        done, said = self._machine.attempt(
            "python3 -c 'import sys, platform; print(*sys.version_info[:2], platform.machine(),"
            " sys.maxsize > 2**32)'"
        )
        if not done:
            raise MachineError(f"{self._machine.name} has no python3: roommood needs 3.11 or later")
        major, minor, machine, wide = said.split()[-4:]
        bits = 64 if wide == "True" else 32
        if (int(major), int(minor)) < _LOWEST or bits != 64:
            raise MachineError(
                f"{self._machine.name} has Python {major}.{minor} of {bits} bits: roommood "
                "needs a 64-bit system with Python 3.11 or later (Raspberry Pi OS 64-bit, "
                "bookworm or trixie)"
            )
        return Python(f"{major}.{minor}", machine)

    def _programs(self, python: Python, wheels: Wheels) -> str:
        """Name of the environment: another interpreter, or other wheels, is another one."""
        system = "-system" if self._release.system_site_packages else ""
        return f"{python.version}{system}-{wheels.digest}"

    def _current(self) -> str:
        done, said = self._machine.attempt(f"readlink {ROOT}/current")
        return said.rpartition("/")[2] if done else ""

    def _is_active(self, unit: str) -> bool:
        return self._machine.attempt(f"systemctl is-active --quiet {unit}")[0]

    # Stage

    def _stage(self, new: str, wheels: Wheels, programs: str, *, dry_run: bool) -> list[str]:
        from pyinfra.operations import apt
        from pyinfra.operations import files as on_disk

        release, venv = ROOT / "releases" / new, ROOT / "venvs" / programs
        lacking = self._lacking_packages()
        changed = []
        if lacking:
            changed.append(f"packages {', '.join(lacking)}")
            if not dry_run:
                self._note_packages(lacking)
                wish = Operation(
                    "packages", apt.packages, {"packages": lacking, "no_recommends": True}
                )
                self._machine.apply([wish])
        changed += self._machine.apply(
            [
                text_file(_SYSUSERS, _shipped("systemd", "roommood.sysusers")),
                text_file(ACTIVATE, _shipped("site", "activate.sh"), mode="755"),
                *(text_file(f"{release}/{path}", text) for path, text in self._files()),
                Operation("link to the programs", on_disk.link,
                     {"path": f"{release}/venv", "target": f"../../venvs/{programs}"}),
            ],
            dry_run=dry_run,
        )  # fmt: skip
        if not self._machine.attempt(f"test -f {venv}/complete")[0]:
            changed.append(f"programs {wheels.requirement}")
            if not dry_run:
                self._install(wheels, str(venv))
        return changed

    def _put_secrets(self, *, dry_run: bool) -> list[str]:
        if not dry_run:
            # Some belong to the user that this makes.
            self._machine.run("systemd-sysusers roommood.conf")
        return put_secrets(self._machine, self._secrets, dry_run=dry_run)

    def _files(self) -> list[tuple[str, str]]:
        units = "".join(f"{unit}\n" for unit in self._release.units)
        return [*sorted(self._release.files.items()), ("units.run", units)]

    def _lacking_packages(self) -> list[str]:
        names = self._release.packages
        _, said = self._machine.attempt(
            "dpkg-query -W -f '${Package} ${db:Status-Status}\\n' "
            f"{' '.join(names)} 2>/dev/null"
        )
        there = {line.split()[0] for line in said.splitlines() if line.endswith(" installed")}
        return [name for name in names if name not in there]

    def _note_packages(self, names: list[str]) -> None:
        """So that `--remove` takes away what came with us, and nothing else."""
        noted = " ".join(names)
        self._machine.run(f"mkdir -p {ROOT} && printf '%s\\n' {noted} >> {ROOT}/packages")

    def _install(self, wheels: Wheels, venv: str) -> None:
        from pyinfra.operations import files as on_disk

        machine, source = self._machine, ""
        if wheels.files:
            folder = f"{ROOT}/wheels"
            machine.apply(
                Operation(f"wheel {path.name}", on_disk.put,
                     {"src": str(path), "dest": f"{folder}/{path.name}", "mode": "644"})
                for path in wheels.files
            )  # fmt: skip
            source = f"--no-index --find-links {folder} "
        site = "--system-site-packages " if self._release.system_site_packages else ""
        done, said = machine.attempt(
            f"rm -rf {venv} && python3 -m venv {site}{venv} && "
            f"{venv}/bin/pip install --quiet --disable-pip-version-check {source}"
            f"'{wheels.requirement}' && {venv}/bin/roommood --version && touch {venv}/complete",
            timeout_s=_INSTALL_S,
        )
        if not done:
            machine.attempt(f"rm -rf {venv}")
            where = f"the wheels of {self._wheelhouse}" if wheels.files else "the package index"
            raise MachineError(
                f"{machine.name}: {wheels.requirement} cannot be installed from {where}:\n{said}"
            )

    # Switch

    def _switch(
        self, new: str, before: str, check: Callable[[Machine], None], outcome: Outcome
    ) -> None:
        self._machine.attempt(f"rm -f {_good(new)}")
        try:
            done, said = self._machine.attempt(f"{ACTIVATE} {new}", timeout_s=300)
            if not done:
                raise MachineError(f"{self._machine.name}: release {new} does not start:\n{said}")
            check(self._machine)
        except MachineError as error:
            outcome.problem = str(error)
            if before not in ("", new) and self._machine.attempt(f"test -f {_good(before)}")[0]:
                done, said = self._machine.attempt(f"{ACTIVATE} {before}", timeout_s=300)
                outcome.rolled_back_to = before if done else ""
                outcome.problem += "" if done else f"\nand going back to {before} failed:\n{said}"
            return
        self._machine.run(f"touch {_good(new)}")
        self._tidy(new, before)

    def _tidy(self, new: str, before: str) -> None:
        """Keeps the release that runs and the one before; older ones and their programs go."""
        kept = " ".join(f"! -name {one}" for one in {new, before or new})
        self._machine.attempt(
            f"cd {ROOT} && find releases -mindepth 1 -maxdepth 1 {kept} -exec rm -rf {{}} + ; "
            'used=$(for r in releases/*/venv; do basename "$(readlink $r)"; done); '
            'for v in venvs/*; do case " $(echo $used) " in *" $(basename $v) "*) ;; '
            "*) rm -rf $v ;; esac; done; rm -rf wheels"
        )


def _good(release: str) -> str:
    """The mark of a release that came up once: one can go back to it."""
    return f"{ROOT}/releases/{release}/good"


def refuse_another_part(machine: Machine, word: str) -> None:
    """Raises MachineError where a unit with this word in its name runs: the machine is another
    part of a site, which a release of this one, or its removal, would end."""
    said = machine.run(f"cat {ROOT}/current/units.run 2>/dev/null; true")
    others = [one for one in said.split() if word in one]
    if others:
        raise MachineError(
            f"{machine.name} runs {' '.join(others)}: it is another part of a site under another "
            "name, and a machine has one part. Nothing was changed there. Give this part another "
            "host in the site's file, or take the other off first, by its own name"
        )


def remove(machine: Machine, *, purge: bool) -> list[str]:
    """Takes everything of ours off a machine, with `purge` what was counted too; returns what was
    there. Without it Debian's packages keep their data as well."""
    places = f"{ROOT} {ETC} {_SYSUSERS} {DATA if purge else ''}"
    found = machine.run(f"ls -d {places} 2>/dev/null; true").split()
    if not found:
        return []
    machine.attempt(f"{ACTIVATE} --stop", timeout_s=300)
    packages = machine.attempt(f"cat {ROOT}/packages")
    if packages[0] and packages[1]:
        names, verb = " ".join(packages[1].split()), "purge" if purge else "remove"
        machine.run(
            f"DEBIAN_FRONTEND=noninteractive apt-get {verb} -y -qq --autoremove {names}",
            timeout_s=_INSTALL_S,
        )
        found.append(f"packages {names}")
    machine.run(f"rm -rf {' '.join(one for one in found if one.startswith('/'))}")
    machine.attempt("userdel roommood; groupdel roommood; true")
    return found


def _shipped(folder: str, name: str) -> str:
    return (files("roommood.deploy") / folder / name).read_text(encoding="utf-8")
