"""How machines and their users are written in a site's file, and which are the same machine."""

import ipaddress
import re
import socket
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

LOCAL: Final = "local"
_LOOPBACK: Final = (LOCAL, "localhost", "localhost.localdomain")
_HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}", re.ASCII)
# As a directory server or Windows' domain gives them, too; never what ssh takes for an option.
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}\$?", re.ASCII)


def _host(value: Any) -> Any:
    """A name or an address as ssh takes it. Raises ValueError with what to write instead."""
    if not isinstance(value, str) or _is_ip_address(value) or _HOST.fullmatch(value):
        return value
    user, at, rest = value.rpartition("@")
    if at and user:
        raise ValueError(f'{value!r} is no host name: write host = "{rest}" and user = "{user}"')
    name, colon, port = value.rpartition(":")
    if colon and port.isdecimal() and _HOST.fullmatch(name):
        raise ValueError(f'{value!r} is no host name: write host = "{name}" and ssh_port = {port}')
    inner = value.strip("[]")
    if _is_ip_address(inner):
        raise ValueError(f'{value!r} is no host name: write host = "{inner}"')
    raise ValueError(f"{value!r} is no host name: a name or an IP address is, such as pi.local")


def _user(value: Any) -> Any:
    if isinstance(value, str) and not _USER.fullmatch(value):
        raise ValueError(f"{value!r} is no user name: the one before the @ of ssh is, such as pi")
    return value


Host = Annotated[str, BeforeValidator(_host)]
User = Annotated[str, BeforeValidator(_user)]


def machine_of(host: str) -> str:
    """One word for a machine, however its host is written: "local" for the one that deploys."""
    name = host.lower().rstrip(".")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        own = socket.gethostname().lower()
        short = own.partition(".")[0]
        is_local = name in (*_LOOPBACK, own, short)
        return LOCAL if is_local or name == f"{short}.local" else name
    return LOCAL if address.is_loopback or address.is_unspecified else str(address)


def is_loopback_name(host: str) -> bool:
    """Whether each machine that looks it up finds itself."""
    name = host.lower().rstrip(".")
    return name in _LOOPBACK or (machine_of(host) == LOCAL and _is_ip_address(name))


def _is_ip_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
