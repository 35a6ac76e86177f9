"""`roommood keys redis`: a redis.conf, its ACL file and three passwords, ready to be used.

Redis is told SHA-256 hashes only. The passwords themselves stand in three files that nobody but
their owner may read: the writer's is for the aggregators, and for all that changes what is kept;
the reader's for whoever looks; the operator's for pauses, views, groups and quiet hours alone.
"""

import hashlib
import secrets
from dataclasses import astuple, dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from roommood.shared.errors import ConfigError
from roommood.shared.process.atomic_file import require_folder, write_private

_PASSWORD_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class RedisAccess:
    """The files that were written."""

    conf: Path
    acl: Path
    writer_password: Path
    reader_password: Path
    operator_password: Path


def write_redis_access(folder: Path, *, force: bool = False) -> RedisAccess:
    """Writes the five files (mode 0600) into a folder (made with mode 0700).

    Raises ConfigError where one is there already, unless `force`: whoever uses the passwords of
    now would be locked out.
    """
    require_folder(folder)
    folder = folder.expanduser().resolve()
    access = RedisAccess(
        folder / "redis.conf",
        folder / "users.acl",
        folder / "redis-writer.password",
        folder / "redis-reader.password",
        folder / "redis-operator.password",
    )
    there = [path for path in astuple(access) if path.exists()]
    if there and not force:
        raise ConfigError(f"{there[0]} is there already: --force makes new passwords")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_all(access)
    except OSError as error:
        raise ConfigError(f"cannot write into {folder}: {error.strerror}") from error
    return access


def _write_all(access: RedisAccess) -> None:
    passwords = {
        "WRITER": access.writer_password,
        "READER": access.reader_password,
        "OPERATOR": access.operator_password,
    }
    acl = _template("users.acl")
    for user, path in passwords.items():
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        acl = acl.replace(f"#{user}", f"#{_hash(password)}")
        write_private(path, f"{password}\n")
    write_private(access.acl, acl)
    write_private(access.conf, _template("redis.conf").replace("DIR", str(access.conf.parent)))


def _template(name: str) -> str:
    return resources.files("roommood.deploy").joinpath("redis", name).read_text("utf-8")


def _hash(password: str) -> str:
    """As Redis' ACL files want it: plain SHA-256, which suffices for a random password."""
    return hashlib.sha256(password.encode()).hexdigest()
