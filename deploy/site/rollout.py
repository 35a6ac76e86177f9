"""Bringing one machine to its release: staged beside the one that runs, then made current.

Nothing that runs is touched before everything that is needed lies ready. If the new release does
not come up, the one before is made current again, with the secrets that only it had.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path, PurePosixPath
from shlex import quote

from roommood.deploy.site.machine import Machine, MachineError, Operation
from roommood.deploy.site.open_files import OpenFile, put_files
from roommood.deploy.site.parts import ACTIVATE, ROOT
from roommood.deploy.site.release import Release
from roommood.deploy.site.secrets import Secret, lying, put_secrets, without
from roommood.deploy.site.wheels import Python, Wheels, choose_wheels

_LOWEST = (3, 11)
# Of what takes its time: wheels, many services one after the other, small files on a card.
INSTALL_S = 1_800
SYSUSERS = "/etc/sysusers.d/roommood.conf"


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
        self._root = release.part.root
        self._activate = f"{ACTIVATE} {release.part.folder}"
        self._secrets = tuple(secrets)
        self._wheelhouse = wheelhouse

    def run(self, check: Callable[[Machine, Release], None], *, dry_run: bool) -> Outcome:
        """Stages, switches if anything is new, checks, and goes back where that fails.

        Raises MachineError where staging fails: what runs was not touched.
        """
        outcome = Outcome(self._machine.name)
        python = self._python()
        wheels = choose_wheels(self._wheelhouse, python, self._release.extras)
        programs = wheels.programs(python, self._release.system_site_packages)
        new = self._release.digest(programs)
        before = self._current()
        outcome.changed += self._stage(new, wheels, programs, dry_run=dry_run)
        changed = self._put_secrets(dry_run=dry_run)
        outcome.changed += changed
        leaving = self._leaving_secrets()
        outcome.changed += [f"{path} goes" for path in leaving]
        live = {secret.path for secret in self._secrets if secret.is_live}
        idle = [unit for unit in self._release.units if not self._is_active(unit)]
        # What failed the last time is tried again although nothing is new.
        failed = not self._machine.attempt(f"test -f {self._good(new)}")[0]
        if before != new or idle or failed or leaving or set(changed) - live:
            outcome.changed.append(
                f"release {new} runs" + (f" ({idle[0]} did not)" if idle else "")
            )
            if not dry_run:
                self._switch(new, before, check, outcome, leaving)
        return outcome

    # Look

    def _python(self) -> Python:
        done, output = self._machine.attempt(
            "python3 -c 'import sys, platform; print(*sys.version_info[:2], platform.machine(),"
            " sys.maxsize > 2**32)'"
        )
        if not done:
            raise MachineError(f"{self._machine.name} has no python3: roommood needs 3.11 or later")
        major, minor, machine, wide = output.split()[-4:]
        bits = 64 if wide == "True" else 32
        if (int(major), int(minor)) < _LOWEST or bits != 64:
            raise MachineError(
                f"{self._machine.name} has Python {major}.{minor} of {bits} bits: roommood "
                "needs a 64-bit system with Python 3.11 or later (Raspberry Pi OS 64-bit, "
                "bookworm or trixie)"
            )
        return Python(f"{major}.{minor}", machine)

    def _current(self) -> str:
        done, output = self._machine.attempt(f"readlink {self._root}/current")
        return output.rpartition("/")[2] if done else ""

    def _is_active(self, unit: str) -> bool:
        return self._machine.attempt(f"systemctl is-active --quiet {unit}")[0]

    # Stage

    def _stage(self, new: str, wheels: Wheels, programs: str, *, dry_run: bool) -> list[str]:
        from pyinfra.operations import apt

        release, venv = self._root / "releases" / new, self._root / "venvs" / programs
        lacking = self._lacking_packages()
        changed = []
        if lacking:
            changed.append(f"packages {', '.join(lacking)}")
            if not dry_run:
                self._note_packages(lacking)
                operation = Operation(
                    "packages", apt.packages, {"packages": lacking, "no_recommends": True}
                )
                self._machine.apply([operation])
        changed += put_files(
            self._machine,
            [
                OpenFile(SYSUSERS, _shipped("systemd", "roommood.sysusers")),
                activate_script(),
                *(
                    OpenFile(f"{release}/{path}", text)
                    for path, text in release_files(self._release)
                ),
            ],
            dry_run=dry_run,
        )
        if not dry_run:
            self._machine.run(f"ln -sfn ../../venvs/{programs} {release}/venv")
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

    def _leaving_secrets(self) -> list[PurePosixPath]:
        """What a former release was given and this one is not; a dry run may know of none."""
        placed = {PurePosixPath(secret.path) for secret in self._secrets}
        others = [path for path in self._release.part.secrets if path not in placed]
        return lying(self._machine, others) if placed else []

    def _lacking_packages(self) -> list[str]:
        names = self._release.packages
        _, output = self._machine.attempt(
            "dpkg-query -W -f '${Package} ${db:Status-Status}\\n' "
            f"{' '.join(names)} 2>/dev/null"
        )
        there = {line.split()[0] for line in output.splitlines() if line.endswith(" installed")}
        return [name for name in names if name not in there]

    def _note_packages(self, names: list[str]) -> None:
        """So that `--remove` takes away what came with us, and nothing else."""
        noted = " ".join(names)
        self._machine.run(f"mkdir -p {ROOT} && printf '%s\\n' {noted} >> {ROOT}/packages")

    def _install(self, wheels: Wheels, venv: str) -> None:
        from pyinfra.operations import files as on_disk

        machine, folder = self._machine, f"{self._root}/wheels"
        machine.apply(
            Operation(f"wheel {path.name}", on_disk.put,
                 {"src": str(path), "dest": f"{folder}/{path.name}", "mode": "644"})
            for path in wheels.files
        )  # fmt: skip
        site = "--system-site-packages " if self._release.system_site_packages else ""
        install = (
            f"test -f {venv}/complete || {{ rm -rf {venv} && python3 -m venv {site}{venv} && "
            f"{venv}/bin/pip install --quiet --disable-pip-version-check {wheels.for_pip(folder)}"
            f" && {venv}/bin/roommood --version && touch {venv}/complete; }}"
        )
        done, output = machine.attempt(self._alone(f"sh -c {quote(install)}"), timeout_s=INSTALL_S)
        if not done:
            machine.attempt(f"rm -rf {venv}", timeout_s=INSTALL_S)
            where = f"the wheels of {self._wheelhouse}" if wheels.all_of_it else "the package index"
            raise MachineError(
                f"{machine.name}: {wheels.requirement} cannot be installed from {where}:\n{output}"
            )

    def _alone(self, command: str) -> str:
        """What an earlier run began goes on there where its connection broke: wait for its end."""
        return f"mkdir -p {self._root} && flock {self._root} {command}"

    # Switch

    def _switch(
        self, new: str, before: str, check: Callable[[Machine, Release], None], outcome: Outcome,
        leaving: list[PurePosixPath],
    ) -> None:  # fmt: skip
        self._machine.attempt(f"rm -f {self._good(new)}")
        try:
            with without(self._machine, leaving):
                done, output = self._machine.attempt(
                    self._alone(f"{self._activate} {new}"), timeout_s=INSTALL_S
                )
                if not done:
                    raise MachineError(
                        f"{self._machine.name}: release {new} does not start:\n{output}"
                    )
                check(self._machine, self._release)
        except MachineError as error:
            outcome.problem = str(error)
            self._go_back(new, before, outcome)
            return
        self._machine.run(f"touch {self._good(new)}")
        self._tidy(new, before)

    def _go_back(self, new: str, before: str, outcome: Outcome) -> None:
        """To the release before, where that came up once."""
        if before in ("", new) or not self._machine.attempt(f"test -f {self._good(before)}")[0]:
            units, name = ", ".join(self._release.units), self._release.part.name
            outcome.problem += (
                f"\nno release to go back to: {units} stay as they are, and systemd starts them "
                "with the machine. Deploy again once it is mended, or take them off: "
                f"--remove --only {name}"
            )
            return
        activate = self._alone(f"{self._activate} {before}")
        done, output = self._machine.attempt(activate, timeout_s=INSTALL_S)
        outcome.rolled_back_to = before if done else ""
        outcome.problem += "" if done else f"\nand going back to {before} failed:\n{output}"

    def _tidy(self, new: str, before: str) -> None:
        """Keeps the release that runs and the one before; older ones and their programs go."""
        kept = " ".join(f"! -name {release}" for release in {new, before or new})
        self._machine.attempt(
            f"cd {self._root} && "
            f"find releases -mindepth 1 -maxdepth 1 {kept} -exec rm -rf {{}} + ; "
            'used=$(for r in releases/*/venv; do basename "$(readlink $r)"; done); '
            'for v in venvs/*; do case " $(echo $used) " in *" $(basename $v) "*) ;; '
            "*) rm -rf $v ;; esac; done; rm -rf wheels",
            timeout_s=INSTALL_S,
        )

    def _good(self, release: str) -> str:
        """The mark of a release that came up once: one can go back to it."""
        return f"{self._root}/releases/{release}/good"


def release_files(release: Release) -> list[tuple[str, str]]:
    """All that lies in a release's folder, by path below it."""
    units = "".join(f"{unit}\n" for unit in release.units)
    return [*sorted(release.files.items()), ("units.run", units)]


def activate_script() -> OpenFile:
    """What makes a release current, and stops a part."""
    return OpenFile(str(ACTIVATE), _shipped("site", "activate.sh"), mode=0o755)


def _shipped(folder: str, name: str) -> str:
    return (files("roommood.deploy") / folder / name).read_text(encoding="utf-8")
