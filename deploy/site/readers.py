"""What a site's file says of the programs that read its rooms: `roommood mqtt` and `notify`."""

import re
from typing import Any, Final

from roommood.deploy.site.in_sight import is_in_sight
from roommood.shared.errors import RoommoodError
from roommood.shared.process.settings import MqttSettings, NotifySettings, load
from roommood.shared.process.settings.tables import problem_with

OURS_SAID: Final = "{}: the site itself sets this for every machine"
_SWITCHES: Final = "{}: for switches write mqtt_switches = true in [site]: the site gives the login"


def mqtt_settings(given: Any) -> Any:
    """Of `roommood mqtt`: the broker's address, or a table of its settings."""
    values = {"broker": given} if isinstance(given, str) else given
    logins = {"operator_redis_url", "operator_redis_password_file"}
    if isinstance(values, dict) and (given_logins := logins & values.keys()):
        raise ValueError(_SWITCHES.format(", ".join(sorted(given_logins))))
    if isinstance(values, dict) and "broker" not in values:
        raise ValueError("give broker, as mqtts://HOST:PORT: without it the desktop's own is told")
    return _reader_settings(MqttSettings, values)


def notify_settings(given: Any) -> Any:
    """Of `roommood notify`: a table of its settings."""
    settings = _reader_settings(NotifySettings, given)
    if (
        isinstance(settings, NotifySettings)
        and settings.urls_file is None
        and settings.command is None
    ):
        raise ValueError("nobody is to be told: give urls_file, command or both")
    if isinstance(settings, NotifySettings) and settings.command is not None:
        _check_command(given["command"])
    return settings


def _check_command(command: str) -> None:
    if not is_in_sight(command):
        raise ValueError(
            f"command {command!r}: give the whole path of a program on the desktop that user "
            "roommood may start, such as /usr/local/bin/tell: home folders and /tmp are out of its "
            "sight"
        )


def _reader_settings(kind: type[MqttSettings] | type[NotifySettings], values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    if ours := {"redis_url", "redis_password_file"} & values.keys():
        raise ValueError(OURS_SAID.format(", ".join(sorted(ours))))
    if wrong := [
        problem for key in values if (problem := problem_with(kind.TABLE, key, values[key]))
    ]:
        raise ValueError("; ".join(wrong))
    try:
        return load(kind, None, values)
    except RoommoodError as error:
        raise ValueError(_without_flags(str(error))) from error


def _without_flags(text: str) -> str:
    """A command's complaint in the words of a file: `ca_file` for `--ca-file`."""
    return re.sub(r"--([a-z][a-z-]*)", lambda flag: flag[1].replace("-", "_"), text)
