"""`roommood deploy site.toml`: the desktop first, then each Pi, and what became of them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from roommood.deploy.keys.redis_users import write_redis_access
from roommood.deploy.keys.site_keys import SiteKeys
from roommood.deploy.site.machine import Machine, MachineError
from roommood.deploy.site.release import (
    ALLOWED,
    CAMERA_METRICS_PORT,
    CAMERA_UNIT,
    DATA,
    KEYS,
    REDIS,
    Release,
    camera_release,
    desktop_release,
    ready_ports,
)
from roommood.deploy.site.rollout import Outcome, Rollout, refuse_another_part, remove
from roommood.deploy.site.secrets import Secret, put_secrets
from roommood.deploy.site.site_file import DESKTOP, Pi, Reached, Site
from roommood.shared.errors import ConfigError
from roommood.shared.security.allow_list import Entry
from roommood.shared.security.keys import (
    AGGREGATORS_FILE,
    ALLOW_LIST_FILE,
    CAMERA_FILE,
    WORKERS_FILE,
)

_REDIS_FOLDER: Final = "redis"
# Seconds in which the first frames of a camera must have been asked for.
_FRAMES_S: Final = 60.0
_READY_S: Final = 30.0
_ENOUGH_FRAMES: Final = 3
_LOOK_EVERY_S: Final = 0.5
Say = Callable[[str], None]


class Deployment:
    """One run over a site; `say` is told each line for the person who waits."""

    def __init__(
        self, site: Site, say: Say, *, wheelhouse: Path | None = None, dry_run: bool = False
    ) -> None:
        self._site = site
        self._say = say
        self._wheelhouse = wheelhouse
        self._dry_run = dry_run
        self._keys = SiteKeys(site.key_folder)

    def run(self, only: tuple[str, ...] = ()) -> int:
        """Brings all, or only those named, to the site's file; returns the exit code.

        Raises ConfigError for a name that the site does not have.
        """
        cameras = self._wanted(only)
        self._prepare_keys()
        outcomes = []
        if not only or DESKTOP in only:
            outcomes.append(self._try(DESKTOP, self._site.desktop, self._bring_desktop))
            if outcomes[0].problem:
                self._say("the Pis were not touched: they need the desktop")
                return 1
        for camera in cameras:
            outcomes.append(self._try(camera.name, camera, self._bring_camera(camera)))
        return 1 if any(one.problem for one in outcomes) else 0

    def remove(self, only: tuple[str, ...] = (), *, purge: bool = False) -> int:
        """Takes roommood off the machines, with `purge` also what was counted; returns the exit
        code."""
        machines: list[tuple[str, Reached]] = [(one.name, one) for one in self._wanted(only)]
        if not only or DESKTOP in only:
            machines.append((DESKTOP, self._site.desktop))
        code = 0
        for name, reached in machines:
            try:
                with _part(name, reached) as machine:
                    found = remove(machine, purge=purge and name == DESKTOP)
                    stays = name == DESKTOP and machine.attempt(f"test -d {DATA}")[0]
                self._say(f"{name}: removed {', '.join(found)}" if found else f"{name}: no change")
                if stays:
                    self._say(f"{name}: what was counted stays in {DATA}: --purge deletes it")
            except MachineError as error:
                self._say(f"{name}: FAILED: {error}")
                code = 1
        return code

    def _wanted(self, only: tuple[str, ...]) -> list[Pi]:
        known = {camera.name: camera for camera in self._site.cameras}
        unknown = set(only) - {DESKTOP, *known}
        if unknown:
            raise ConfigError(
                f"--only {sorted(unknown)[0]}: the site has {DESKTOP}, {', '.join(known)}"
            )
        return [camera for name, camera in known.items() if not only or name in only]

    def _try(self, name: str, reached: Reached, bring: Callable[[Machine], Outcome]) -> Outcome:
        began = time.monotonic()
        try:
            with _part(name, reached) as machine:
                outcome = bring(machine)
        except MachineError as error:
            outcome = Outcome(reached.host, problem=str(error))
        for line in _lines(name, outcome, time.monotonic() - began, dry_run=self._dry_run):
            self._say(line)
        return outcome

    # Keys

    def _prepare_keys(self) -> None:
        folder = self._site.key_folder
        if self._dry_run:
            return
        if not (folder / WORKERS_FILE).exists():
            self._keys.init()
            self._say(f"made the site's keys in {folder}: keep a copy in a safe place")
        if not (folder / _REDIS_FOLDER).exists():
            write_redis_access(folder / _REDIS_FOLDER)
        ours = {camera.name for camera in self._site.cameras}
        for name in sorted({one.name for one in self._keys.entries() if not one.revoked} - ours):
            self._say(
                f"{name} is not in the site's file, and its key still lets it in: "
                f"roommood keys revoke {name} --keys {folder}"
            )

    def _camera_secrets(self, camera: Pi, machine: Machine) -> list[Secret]:
        """The camera's key, where the Pi lacks a good one. Once a Pi has it, it is kept nowhere
        else."""
        path = f"{KEYS}/{CAMERA_FILE}"
        if self._dry_run or self._is_good(camera, machine.attempt(f"cat {path}")[1]):
            return []
        bundle = self._keys.to_copy / f"camera-{camera.name}.key"
        # One that was made for it before, and never got there, will do.
        if not (bundle.exists() and self._is_good(camera, bundle.read_text())):
            bundle = self._new_bundle(camera)
        return [Secret(path, bundle.read_text())]

    def _is_good(self, camera: Pi, key_file: str) -> bool:
        """Whether workers let this camera in with this key, and it trusts them."""
        serving = {one.key: one for one in self._serving(camera.name)}
        entry = serving.get(_public_in(key_file))
        return (
            entry is not None
            and entry.room == camera.room
            and self._keys.workers().public in key_file
        )

    def _serving(self, name: str) -> list[Entry]:
        return [one for one in self._keys.entries() if one.name == name and one.revoked is None]

    def _new_bundle(self, camera: Pi) -> Path:
        serving = self._serving(camera.name)
        if serving and serving[-1].room != camera.room:
            self._keys.revoke(camera.name)
            serving = []
        if serving:
            return self._keys.rotate_camera(camera.name)
        return self._keys.add_camera(camera.name, camera.room)

    def _settle_key(self, camera: Pi) -> None:
        """The Pi has its key: no copy stays here, and the one that it replaces lets nobody in."""
        (self._keys.to_copy / f"camera-{camera.name}.key").unlink(missing_ok=True)
        if len(self._serving(camera.name)) > 1:
            self._keys.revoke(camera.name, all_but_newest=True)
            self._tell_desktop_of_cameras()

    # Desktop

    def _bring_desktop(self, machine: Machine) -> Outcome:
        release = desktop_release(self._site)
        rollout = Rollout(machine, release, self._desktop_secrets(), self._wheelhouse)
        return rollout.run(lambda one: _all_stay_up(one, release), dry_run=self._dry_run)

    def _desktop_secrets(self) -> list[Secret]:
        folder = self._site.key_folder
        if self._dry_run and not (folder / WORKERS_FILE).exists():
            return []
        access = folder / _REDIS_FOLDER
        names = (WORKERS_FILE, AGGREGATORS_FILE)
        passwords = ("redis-writer.password", "redis-reader.password")
        return [
            *(Secret(f"{KEYS}/{name}", (folder / name).read_text()) for name in names),
            *(Secret(f"{KEYS}/{name}", (access / name).read_text()) for name in passwords),
            Secret(f"{REDIS}/users.acl", (access / "users.acl").read_text(), owner="redis"),
            self._allow_list(),
        ]

    def _allow_list(self) -> Secret:
        text = (self._site.key_folder / ALLOW_LIST_FILE).read_text()
        return Secret(f"{ALLOWED}/{ALLOW_LIST_FILE}", text, owner="roommood", is_live=True)

    def _tell_desktop_of_cameras(self) -> None:
        """The list of those that may come in; workers notice by themselves."""
        with Machine(self._site.desktop) as machine:
            put_secrets(machine, [self._allow_list()])

    # Cameras

    def _bring_camera(self, camera: Pi) -> Callable[[Machine], Outcome]:
        def bring(machine: Machine) -> Outcome:
            secrets = self._camera_secrets(camera, machine)
            if secrets:
                self._tell_desktop_of_cameras()
            release = camera_release(self._site, camera)
            rollout = Rollout(machine, release, secrets, self._wheelhouse)
            outcome = rollout.run(_frames_flow, dry_run=self._dry_run)
            if not (outcome.problem or self._dry_run):
                self._settle_key(camera)
            return outcome

        return bring


@contextmanager
def _part(name: str, reached: Reached) -> Iterator[Machine]:
    """The machine of a part. Raises MachineError where it is the other kind of part already."""
    with Machine(reached) as machine:
        refuse_another_part(machine, "camera" if name == DESKTOP else "aggregator")
        yield machine


def _all_stay_up(machine: Machine, release: Release) -> None:
    """Raises MachineError where a unit that came up ends again within seconds."""
    units = " ".join(release.units)
    done, said = machine.attempt(
        f"sleep 3; systemctl is-active {units} && systemctl show -P NRestarts {units}"
    )
    restarts = [line for line in said.split() if line.isdecimal() and line != "0"]
    if not done or restarts:
        logs = _end_of_log(machine, " -u ".join(release.units))
        raise MachineError(f"{machine.name}: not all units stay up:\n{logs}")
    for what, port in ready_ports(release):
        _until_ready(machine, what, port)


def _until_ready(machine: Machine, unit: str, port: int) -> None:
    def why() -> str:
        return f"{machine.name}: {unit} is not ready:\n{_end_of_log(machine, unit)}"

    _until(lambda: _get(machine, port, "readyz")[0], _READY_S, why)


def _frames_flow(machine: Machine) -> None:
    """Raises MachineError where no worker asks the camera for frames within a minute."""
    _until(
        lambda: _frames_sent(machine) >= _ENOUGH_FRAMES, _FRAMES_S,
        lambda: f"{machine.name}: no frame arrived at a worker within {_FRAMES_S:g} s; its log "
        f"ends:\n{_end_of_log(machine, CAMERA_UNIT)}",
    )  # fmt: skip


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


def _frames_sent(machine: Machine) -> int:
    """Frames that workers have asked for since the camera node started."""
    done, said = _get(machine, CAMERA_METRICS_PORT, "metrics")
    name = "roommood_camera_frames_sent_total"
    counts = [line.split()[-1] for line in said.splitlines() if line.startswith(name)]
    return int(float(counts[0])) if done and counts else 0


def _public_in(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("public = ")]
    return lines[0].split('"')[1] if lines else ""


def _lines(name: str, outcome: Outcome, took_s: float, *, dry_run: bool) -> Iterator[str]:
    would = "would change" if dry_run else "changed"
    for one in outcome.changed:
        yield f"{name}: {would}: {one}"
    if outcome.problem:
        yield f"{name}: FAILED: {outcome.problem}"
        if outcome.rolled_back_to:
            yield f"{name}: release {outcome.rolled_back_to} runs again, as before"
    elif not outcome.changed:
        yield f"{name}: no change"
    elif not dry_run:
        what = "everything is up" if name == DESKTOP else "frames arrive at a worker"
        yield f"{name}: {what} ({took_s:.0f} s)"
