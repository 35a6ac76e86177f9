"""A camera's key on its way to its machine: kept nowhere else once it is there."""

from pathlib import Path

from roommood.deploy.keys.site_keys import SiteKeys
from roommood.deploy.site.machine import Machine
from roommood.deploy.site.parts import FORMER_CAMERA_KEY, camera_key, source_password
from roommood.deploy.site.secrets import Secret
from roommood.deploy.site.site_file import Camera
from roommood.shared.security.allow_list import Entry
from roommood.shared.security.password_file import read_password


class CameraKeys:
    """The cameras' part of a site's keys."""

    def __init__(self, keys: SiteKeys) -> None:
        self._keys = keys

    def secret_for(self, camera: Camera, machine: Machine) -> tuple[Secret, bool]:
        """The key that the camera's machine has, where it is good, or another; whether another."""
        path = str(camera_key(camera.name))
        for there in (path, FORMER_CAMERA_KEY):
            done, text = machine.attempt(f"cat {there}")
            if done and self._is_good(camera, text):
                return Secret(path, f"{text}\n"), False
        return Secret(path, self.bundle_for(camera).read_text()), True

    def bundle_for(self, camera: Camera) -> Path:
        """A key file for a machine that has none yet."""
        bundle = self._bundle(camera)
        # One that was made for it before, and never got there, will do.
        if bundle.exists() and self._is_good(camera, bundle.read_text()):
            return bundle
        serving = self._serving(camera.name)
        if serving and serving[-1].room != camera.room:
            self._keys.revoke(camera.name)
            serving = []
        if serving:
            return self._keys.rotate_camera(camera.name)
        return self._keys.add_camera(camera.name, camera.room)

    def drop_bundle(self, camera: Camera) -> None:
        """What was copied to its machine stays nowhere else."""
        self._bundle(camera).unlink(missing_ok=True)

    def settle(self, camera: Camera) -> bool:
        """The machine has its key: no copy stays here, and the one that it replaces lets nobody in;
        returns whether there was one."""
        self.drop_bundle(camera)
        replaced = len(self._serving(camera.name)) > 1
        if replaced:
            self._keys.revoke(camera.name, all_but_newest=True)
        return replaced

    def _bundle(self, camera: Camera) -> Path:
        return self._keys.to_copy / f"camera-{camera.name}.key"

    def _is_good(self, camera: Camera, key_file: str) -> bool:
        """Whether workers let this camera in with this key, and it trusts them."""
        serving = {entry.key: entry for entry in self._serving(camera.name)}
        entry = serving.get(_public_in(key_file))
        return (
            entry is not None
            and entry.room == camera.room
            and self._keys.workers().public in key_file
        )

    def _serving(self, name: str) -> list[Entry]:
        return [
            entry for entry in self._keys.entries() if entry.name == name and entry.revoked is None
        ]


def source_secrets(camera: Camera) -> list[Secret]:
    """The password of a network camera, where it has one. Raises ConfigError."""
    if camera.source_password_file is None:
        return []
    text = f"{read_password(camera.source_password_file)}\n"
    return [Secret(str(source_password(camera.name)), text)]


def _public_in(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("public = ")]
    return lines[0].split('"')[1] if lines else ""
