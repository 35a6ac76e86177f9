"""The images of deploy/docker: built by buildah on a root of debootstrap, run without an engine.

buildah reads the Dockerfile itself and runs its steps in a chroot. What an engine would do at the
start is done here with mount, unshare and setpriv: the image's own command, environment and user,
a read-only root, no capability, no new privileges, secrets below /run/secrets.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.site.machines import debootstrap
from tests.site.wheelhouse import LOCKED, ROOT, locked_at

BASE_IMAGE: Final = "localhost/roommood-base"
UID: Final = 10001
_NEEDED: Final = ("debootstrap", "buildah", "unshare", "setpriv", "ip")
# Three mounts that an engine makes, and the root read-only; $1 root, $2 secrets, then the command.
_ENTER: Final = """
set -e
mount --bind "$1" "$1"
mkdir -p "$1/run/secrets" "$1/data"
mount --bind "$2" "$1/run/secrets"
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
mount -t tmpfs -o mode=1777,size=16m tmpfs "$1/tmp"
mount -t tmpfs -o mode=0700,uid=10001,gid=10001 tmpfs "$1/data"
mount -o remount,bind,ro "$1"
root=$1; user=$3; shift 3
exec chroot "$root" /usr/bin/setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups \
    --no-new-privs --inh-caps=-all --bounding-set=-all --pdeathsig KILL "$@"
"""


def why_not_here() -> str:
    """Why images cannot be built here; "" if they can."""
    if os.geteuid() != 0:
        return "a chroot needs root"
    lacking = [name for name in _NEEDED if shutil.which(name) is None]
    return f"no {', '.join(lacking)}: apt-get install debootstrap buildah iproute2" * bool(lacking)


def wheels(folder: Path) -> Path:
    """What the images install, fetched once, so that building them needs Debian's mirror alone."""
    made_for, needed = folder / "complete", LOCKED.read_text()
    if not made_for.exists() or made_for.read_text() != needed:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        download = (
            sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:",
            "--dest", str(folder),
        )  # fmt: skip
        tell(*download, "--require-hashes", "--requirement", str(LOCKED), timeout_s=900)
        # Debian 12's Python is older than this one, and needs one more.
        tell(*download, "--no-deps", "setuptools>=77", "wheel", *locked_at("async-timeout"))
        made_for.write_text(needed)
    return folder


@dataclass(frozen=True)
class Running:
    """One container's process, and what its image says of it."""

    process: "subprocess.Popen[bytes]"
    log: Path


class Images:
    """A store of images in a folder of its own."""

    def __init__(self, folder: Path, scratch: Path, network: str) -> None:
        self._folder = folder
        self._scratch = scratch
        self._network = network
        self._store = ("--root", str(folder / "storage"), "--runroot", str(scratch / "run"))
        self._mounts: dict[str, Path] = {}

    def make_base(self) -> None:
        """Debian's smallest root as an image: what debian:bookworm-slim is, but for its size."""
        root = self._folder / "clean"
        if not (root / "made").exists():
            shutil.rmtree(root, ignore_errors=True)
            debootstrap(root, timeout_s=1800)
            (root / "made").touch()
        if BASE_IMAGE in self.buildah("images", "--format", "{{.Name}}").split():
            return
        script = self._scratch / "Base"
        script.write_text("FROM scratch\nCOPY . /\n")
        self.buildah("build", "--layers", "--file", str(script), "--tag", BASE_IMAGE, str(root))

    def build(self, target: str) -> None:
        """One target of the Dockerfile as it stands."""
        folder = wheels(self._folder / "wheels-containers")
        self.buildah(
            "build", "--layers", "--isolation", "chroot", "--network", "host", "--format", "docker",
            "--build-arg", f"BASE={BASE_IMAGE}", "--build-arg", "PIP_NO_INDEX=1",
            "--build-arg", "PIP_FIND_LINKS=/wheels", "--volume", f"{folder}:/wheels:ro",
            "--file", str(ROOT / "deploy/docker/Dockerfile"),
            "--ignorefile", str(ROOT / "deploy/docker/Dockerfile.dockerignore"),
            "--target", target, "--tag", f"roommood-{target}", str(ROOT), timeout_s=1200,
        )  # fmt: skip

    def config(self, target: str) -> dict[str, Any]:
        """What the image says of user, environment, command and health check."""
        answer = json.loads(self.buildah("inspect", "--type", "image", f"roommood-{target}"))
        config: dict[str, Any] = answer["Docker"]["config"]
        return config

    def root(self, target: str) -> Path:
        """The image's file system."""
        if target not in self._mounts:
            container = self.buildah("from", f"localhost/roommood-{target}").strip()
            self._mounts[target] = Path(self.buildah("mount", container).strip())
        return self._mounts[target]

    def command(
        self, target: str, words: list[str], secrets: Path, environment: dict[str, str]
    ) -> list[str]:
        """How a command is run as in a container of that image."""
        config = self.config(target)
        given = [*config["Env"], *(f"{name}={value}" for name, value in environment.items())]
        return [
            "setpriv", "--pdeathsig", "KILL",
            "ip", "netns", "exec", self._network, "unshare", "--mount", "--pid", "--fork",
            "--kill-child", "sh", "-c", _ENTER, "sh", str(self.root(target)), str(secrets),
            config["User"], "/usr/bin/env", "-i", *given, *words,
        ]  # fmt: skip

    @contextmanager
    def running(
        self, target: str, secrets: Path, *more: str, **environment: str
    ) -> Iterator[Running]:
        """The image's own command, until the end of the block."""
        words = [*self.config(target)["Entrypoint"], *more]
        log = self._scratch / f"{target}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                self.command(target, words, secrets, environment),
                stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            )  # fmt: skip
        try:
            yield Running(process, log)
        finally:
            process.kill()
            process.wait(30)

    def processes(self) -> list[str]:
        """What runs in any of them."""
        return tell("ip", "netns", "pids", self._network).split()

    def is_healthy(self, target: str, secrets: Path) -> bool:
        """What the image's own health check says."""
        test = self.config(target)["Healthcheck"]["Test"]
        assert test[0] == "CMD"
        done = subprocess.run(
            self.command(target, test[1:], secrets, {}),
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        return done.returncode == 0

    def buildah(self, *words: str, timeout_s: float = 300) -> str:
        return tell("buildah", *self._store, *words, timeout_s=timeout_s)

    def close(self) -> None:
        """Containers go, images stay for the next time."""
        self.buildah("rm", "--all")


def tell(*command: str, timeout_s: float = 60) -> str:
    """What a command prints; it must end well."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout
