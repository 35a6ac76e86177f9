"""`roommood deploy site.toml`: the desktop first, then each Pi, and what became of them."""

import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from roommood.aggregator.notify.services import read_urls
from roommood.deploy.keys.redis_users import write_redis_access
from roommood.deploy.keys.site_keys import SiteKeys
from roommood.deploy.site import neighbours
from roommood.deploy.site.camera_keys import CameraKeys, source_secrets
from roommood.deploy.site.card import Card
from roommood.deploy.site.checks import all_stay_up, frames_flow
from roommood.deploy.site.hosts import machine_of
from roommood.deploy.site.machine import Machine, MachineError
from roommood.deploy.site.parts import (
    ALLOWED,
    DATA,
    DESKTOP_PART,
    KEYS,
    MQTT_PASSWORD,
    NOTIFY_URLS,
    OPERATOR_PASSWORD,
    READER_PASSWORD,
    REDIS,
    WRITER_PASSWORD,
    Part,
    camera_part,
)
from roommood.deploy.site.release import camera_release, desktop_release
from roommood.deploy.site.rollout import Outcome, Rollout
from roommood.deploy.site.room_settings import set_rooms
from roommood.deploy.site.secrets import Secret, put_secrets
from roommood.deploy.site.site_file import DESKTOP, Camera, Reached, Site
from roommood.deploy.site.wheels import Python
from roommood.shared.errors import ConfigError
from roommood.shared.security.keys import AGGREGATORS_FILE, ALLOW_LIST_FILE, WORKERS_FILE
from roommood.shared.security.password_file import read_password

_REDIS_FOLDER: Final = "redis"
_TWO_NAMES: Final = (
    "{first} and {other} are the same machine under two names: write the same host for all that it "
    "has. Nothing was changed there"
)
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
        self._camera_keys = CameraKeys(self._keys)
        self._hosts: dict[str, str] = {}

    def run(self, only: tuple[str, ...] = ()) -> int:
        """Brings all, or only those named, to the site's file; returns the exit code.

        Raises ConfigError for a name that the site does not have.
        """
        cameras = self._chosen(only)
        self._prepare_keys()
        outcomes = []
        if not only or DESKTOP in only:
            outcomes.append(self._try(DESKTOP_PART, self._site.desktop, self._apply_desktop))
            if outcomes[0].problem:
                self._say("the cameras were not touched: they need the desktop")
                return 1
        for camera in cameras:
            outcomes.append(self._try(camera_part(camera.name), camera, self._apply_camera(camera)))
        rooms_set = self._apply_rooms() if not only or DESKTOP in only else True
        return 0 if rooms_set and not any(outcome.problem for outcome in outcomes) else 1

    def write_card(self, name: str, folder: Path, python: Python | None = None) -> int:
        """Makes a flashed card that camera's; returns the exit code.

        Raises ConfigError for a name that the site does not have, or a folder that is no card.
        """
        if name == DESKTOP:
            raise ConfigError("--card is for a camera: the desktop is reached by ssh")
        (camera,) = self._chosen((name,))
        if self._wheelhouse is None:
            raise ConfigError("--card installs without internet: give --wheelhouse")
        card = Card(folder)
        self._prepare_keys()
        card.write(self._site, camera, self._camera_keys, self._wheelhouse, python)
        self._camera_keys.drop_bundle(camera)
        held = "the camera's key" + (" and the Wi-Fi password" if self._site.wifi else "")
        them = "them" if self._site.wifi else "it"
        self._say(f"{name}: the card in {folder} is ready for its Pi")
        self._say(
            f"{name}: the card is a secret until the Pi has started from it once: whoever has it "
            f"has {held}. The first start moves {them} to where root alone reads {them}"
        )
        try:
            self._tell_desktop_of_cameras()
        except MachineError as error:
            self._say(f"{name}: the desktop does not know its key yet: deploy it. {error}")
            return 1
        return 0

    def remove(self, only: tuple[str, ...] = (), *, purge: bool = False) -> int:
        """Takes roommood off the machines, with `purge` also what was counted; returns the exit
        code."""
        parts: list[tuple[Part, Reached]] = [
            (camera_part(camera.name), camera) for camera in self._chosen(only)
        ]
        if not only or DESKTOP in only:
            parts.append((DESKTOP_PART, self._site.desktop))
        code = 0
        for part, reached in parts:
            try:
                self._remove(part, reached, purge=purge and part.is_desktop)
            except MachineError as error:
                self._say(f"{part.name}: FAILED: {error}")
                code = 1
        return code

    def _remove(self, part: Part, reached: Reached, *, purge: bool) -> None:
        with Machine(reached) as machine:
            removed = neighbours.remove(machine, part, purge=purge)
            stays = part.is_desktop and machine.attempt(f"test -d {DATA}")[0]
            others = [other.name for other in neighbours.parts_of(machine)]
        self._say(f"{part.name}: " + (f"removed {', '.join(removed)}" if removed else "no change"))
        if stays:
            self._say(f"{part.name}: what was counted stays in {DATA}: --purge deletes it")
        if others and removed:
            self._say(f"{part.name}: {', '.join(others)} stays on that machine")

    def _chosen(self, only: tuple[str, ...]) -> list[Camera]:
        known = {camera.name: camera for camera in self._site.cameras}
        unknown = set(only) - {DESKTOP, *known}
        if unknown:
            raise ConfigError(
                f"--only {sorted(unknown)[0]}: the site has {DESKTOP}, {', '.join(known)}"
            )
        return [camera for name, camera in known.items() if not only or name in only]

    def _try(self, part: Part, reached: Reached, apply: Callable[[Machine], Outcome]) -> Outcome:
        began = time.monotonic()
        try:
            with Machine(reached) as machine:
                settled = self._settle(machine, reached, part)
                outcome = apply(machine)
                outcome.changed[:0] = settled
                if not (outcome.problem or self._dry_run):
                    neighbours.forget_former(machine)
        except MachineError as error:
            outcome = Outcome(reached.host, problem=str(error))
        for line in _lines(part.name, outcome, time.monotonic() - began, dry_run=self._dry_run):
            self._say(line)
        return outcome

    # What else lies on the machine

    def _settle(self, machine: Machine, reached: Reached, part: Part) -> list[str]:
        """Makes the machine hold what the site's file says is there; returns what that changed."""
        same = self._hosts.setdefault(neighbours.identity(machine) or reached.host, reached.host)
        if machine_of(same) != machine_of(reached.host):
            raise MachineError(_TWO_NAMES.format(first=same, other=reached.host))
        if not self._dry_run:
            neighbours.adopt(machine, part)
        changed = []
        for other in neighbours.parts_of(machine):
            if other != part and self._has_left(other, reached, machine):
                changed.append(f"{other.name}, which {reached.host} no longer has, goes")
                if not self._dry_run:
                    neighbours.remove(machine, other, purge=False)
        return changed

    def _has_left(self, other: Part, reached: Reached, machine: Machine) -> bool:
        """Whether a part that lies here belongs elsewhere, or to no site any more.

        Raises MachineError where that cannot be told, or where it is the desktop.
        """
        home = self._home_of(other)
        if home is not None and machine_of(home.host) == machine_of(reached.host):
            return False
        if home is not None and self._is_same_machine(home, machine):
            raise MachineError(_TWO_NAMES.format(first=home.host, other=reached.host))
        if other.is_desktop:
            raise MachineError(
                f"{reached.host} is the desktop of a site, which the file has at "
                f"{self._site.desktop.host}: take it off there first (--remove --only desktop)"
            )
        return True

    def _home_of(self, part: Part) -> Reached | None:
        if part.is_desktop:
            return self._site.desktop
        return next((camera for camera in self._site.cameras if camera.name == part.name), None)

    @staticmethod
    def _is_same_machine(home: Reached, machine: Machine) -> bool:
        try:
            with Machine(home) as there:
                return neighbours.identity(there) == neighbours.identity(machine)
        except MachineError as error:
            raise MachineError(
                f"{machine.name} has a part that the file has at {home.host}, and whether that is "
                f"the same machine cannot be told: {error}"
            ) from error

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
        for name in sorted(
            {entry.name for entry in self._keys.entries() if not entry.revoked} - ours
        ):
            self._say(
                f"{name} is not in the site's file, and its key still lets it in: "
                f"roommood keys revoke {name} --keys {shlex.quote(str(folder))}"
            )

    # Desktop

    def _apply_desktop(self, machine: Machine) -> Outcome:
        release = desktop_release(self._site)
        rollout = Rollout(machine, release, self._desktop_secrets(), self._wheelhouse)
        return rollout.run(all_stay_up, dry_run=self._dry_run)

    def _desktop_secrets(self) -> list[Secret]:
        folder = self._site.key_folder
        if self._dry_run and not (folder / WORKERS_FILE).exists():
            return []
        access = folder / _REDIS_FOLDER
        names = (WORKERS_FILE, AGGREGATORS_FILE)
        passwords = (WRITER_PASSWORD, READER_PASSWORD)
        return [
            *(Secret(f"{KEYS}/{name}", (folder / name).read_text()) for name in names),
            *(Secret(f"{KEYS}/{name}", (access / name).read_text()) for name in passwords),
            Secret(f"{REDIS}/users.acl", (access / "users.acl").read_text(), owner="redis"),
            *self._operator_password(),
            *self._mqtt_password(),
            *self._notify_urls(),
            self._allow_list(),
        ]

    def _mqtt_password(self) -> list[Secret]:
        mqtt = self._site.mqtt
        if mqtt is None or mqtt.password_file is None:
            return []
        return [Secret(f"{KEYS}/{MQTT_PASSWORD}", f"{read_password(mqtt.password_file)}\n")]

    def _notify_urls(self) -> list[Secret]:
        notify = self._site.notify
        if notify is None or notify.urls_file is None:
            return []
        return [Secret(f"{KEYS}/{NOTIFY_URLS}", f"{read_urls(notify.urls_file)}\n")]

    def _operator_password(self) -> list[Secret]:
        site = self._site
        asked = {"page_switches": site.page_switches, "mqtt_switches": site.mqtt_switches}
        switches = [name for name, is_asked in asked.items() if is_asked]
        if not switches:
            return []
        path = site.key_folder / _REDIS_FOLDER / OPERATOR_PASSWORD
        if not path.exists():
            raise ConfigError(
                f"{', '.join(switches)}: there is no {path}, since these passwords are of an "
                f"earlier version: roommood keys redis --force --dir {path.parent} makes new ones"
            )
        return [Secret(f"{KEYS}/{OPERATOR_PASSWORD}", path.read_text())]

    def _allow_list(self) -> Secret:
        text = (self._site.key_folder / ALLOW_LIST_FILE).read_text()
        return Secret(f"{ALLOWED}/{ALLOW_LIST_FILE}", text, owner="roommood", is_live=True)

    def _tell_desktop_of_cameras(self) -> None:
        """The list of those that may come in; workers notice by themselves."""
        with Machine(self._site.desktop) as machine:
            put_secrets(machine, [self._allow_list()])

    # Rooms

    def _apply_rooms(self) -> bool:
        """Whether what the file says of rooms holds."""
        rooms = [room for room in self._site.rooms if room.commands()]
        if self._dry_run:
            for room in rooms:
                what = ", ".join(words[0] for words in room.commands())
                self._say(f"room {room.name}: would set: {what}")
        if self._dry_run or not rooms:
            return True
        try:
            with Machine(self._site.desktop) as machine:
                lines, all_set = set_rooms(machine, rooms)
        except MachineError as error:
            lines, all_set = [f"rooms: FAILED: {error}"], False
        for line in lines:
            self._say(line)
        return all_set

    # Cameras

    def _apply_camera(self, camera: Camera) -> Callable[[Machine], Outcome]:
        def apply(machine: Machine) -> Outcome:
            secrets = [] if self._dry_run else self._camera_secrets(camera, machine)
            release = camera_release(self._site, camera)
            rollout = Rollout(machine, release, secrets, self._wheelhouse)
            outcome = rollout.run(frames_flow, dry_run=self._dry_run)
            done = not (outcome.problem or self._dry_run)
            if done and self._camera_keys.settle(camera):
                self._tell_desktop_of_cameras()
            return outcome

        return apply

    def _camera_secrets(self, camera: Camera, machine: Machine) -> list[Secret]:
        secret, is_new = self._camera_keys.secret_for(camera, machine)
        if is_new:
            self._tell_desktop_of_cameras()
        return [secret, *source_secrets(camera)]


def _lines(name: str, outcome: Outcome, took_s: float, *, dry_run: bool) -> Iterator[str]:
    would = "would change" if dry_run else "changed"
    for change in outcome.changed:
        yield f"{name}: {would}: {change}"
    if outcome.problem:
        yield f"{name}: FAILED: {outcome.problem}"
        if outcome.rolled_back_to:
            yield f"{name}: release {outcome.rolled_back_to} runs again, as before"
    elif not outcome.changed:
        yield f"{name}: no change"
    elif not dry_run:
        what = "everything is up" if name == DESKTOP else "frames arrive at a worker"
        yield f"{name}: {what} ({took_s:.0f} s)"
