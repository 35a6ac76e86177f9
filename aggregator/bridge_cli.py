"""Commands that tell other systems what the rooms show; a reader's rights suffice for them."""

from pathlib import Path
from typing import Annotated, Final

import typer

from roommood.aggregator.redis.client import DEFAULT_URL
from roommood.aggregator.redis.options import PasswordOption, RedisOption
from roommood.shared.process.command import LogFormatOption, LogLevelOption

_PANEL: Final = "Tell other systems"
_WHERE: Final = "Where it is served"
_BROKER: Final = "Broker"
_TOPICS: Final = "What is told"


def exporter(
    bind: Annotated[
        str,
        typer.Option(
            envvar="ROOMMOOD_EXPORTER_BIND", metavar="HOST:PORT", rich_help_panel=_WHERE,
            help="Where /metrics is served.",
        ),
    ] = "127.0.0.1:9704",
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", envvar="ROOMMOOD_EXPORTER_INSECURE", rich_help_panel=_WHERE,
            help="Allow an address that other machines can reach: whoever asks is told.",
        ),
    ] = False,
    redis: RedisOption = DEFAULT_URL,
    password_file: PasswordOption = None,
    log_format: LogFormatOption = None,
    log_level: LogLevelOption = None,
) -> None:  # fmt: skip
    """Tell Prometheus what the rooms show: people, expressions, coverage; and which cameras live.

    Example: roommood exporter --bind 127.0.0.1:9704
    """
    from roommood.shared.process import logs

    logs.setup(log_format or "text", log_level or "info", "exporter")

    from roommood.aggregator.prometheus.exporter import Exporter, ExporterSettings

    settings = ExporterSettings(bind, redis, password_file, insecure)
    raise typer.Exit(Exporter(settings).run())


def mqtt(
    broker: Annotated[
        str,
        typer.Option(
            envvar="ROOMMOOD_MQTT_BROKER", metavar="URL", rich_help_panel=_BROKER,
            help="mqtt://HOST:PORT, or mqtts://HOST:PORT for TLS.",
        ),
    ] = "mqtt://127.0.0.1:1883",
    user: Annotated[
        str | None,
        typer.Option(
            envvar="ROOMMOOD_MQTT_USER", show_default="none", rich_help_panel=_BROKER,
            help="User of the broker.",
        ),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            envvar="ROOMMOOD_MQTT_PASSWORD_FILE", show_default="none", rich_help_panel=_BROKER,
            help="File (mode 0600) whose first line is that user's password.",
        ),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            envvar="ROOMMOOD_MQTT_CA_FILE", show_default="the system's", rich_help_panel=_BROKER,
            help="Certificate of the authority that signed the broker's.",
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", envvar="ROOMMOOD_MQTT_INSECURE", rich_help_panel=_BROKER,
            help="Allow a broker on another machine without TLS: the network can read along.",
        ),
    ] = False,
    prefix: Annotated[
        str,
        typer.Option(rich_help_panel=_TOPICS, help="First part of the topics of states."),
    ] = "roommood",
    discovery_prefix: Annotated[
        str,
        typer.Option(rich_help_panel=_TOPICS, help="Where Home Assistant looks for devices."),
    ] = "homeassistant",
    every_s: Annotated[
        float,
        typer.Option(
            "--every-s", min=0.2, max=60.0, metavar="S", rich_help_panel=_TOPICS,
            help="Seconds between two messages of a room at least.",
        ),
    ] = 5.0,
    redis: RedisOption = DEFAULT_URL,
    redis_password_file: PasswordOption = None,
    log_format: LogFormatOption = None,
    log_level: LogLevelOption = None,
) -> None:  # fmt: skip
    """Tell Home Assistant, by MQTT discovery, which expressions the rooms show.

    Example: roommood mqtt --broker mqtts://home:8883 --user roommood --password-file mqtt.password
    """
    from roommood.shared.process import logs

    logs.setup(log_format or "text", log_level or "info", "mqtt")

    from roommood.aggregator.mqtt.bridge import Bridge
    from roommood.aggregator.mqtt.discovery import Topics
    from roommood.aggregator.mqtt.settings import BridgeSettings

    settings = BridgeSettings(
        broker=broker,
        user=user,
        password_file=password_file,
        ca_file=ca_file,
        insecure=insecure,
        topics=Topics(prefix, discovery_prefix),
        every_s=every_s,
        redis_url=redis,
        redis_password_file=redis_password_file,
    )
    raise typer.Exit(Bridge(settings).run())


def mount(app: typer.Typer) -> None:
    """Add these commands to a typer app."""
    for command in (exporter, mqtt):
        app.command(rich_help_panel=_PANEL)(command)
