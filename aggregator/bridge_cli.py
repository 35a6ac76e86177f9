"""Commands that tell other systems what the rooms show; a reader's rights suffice for them."""

from typing import Final

import typer

from roommood.shared.process.settings import ExporterSettings, MqttSettings, NotifySettings
from roommood.shared.process.settings.options import with_settings

_PANEL: Final = "Tell other systems"


@with_settings(ExporterSettings)
def exporter(settings: ExporterSettings) -> None:
    """Tell Prometheus what the rooms show: people, expressions, coverage; and which cameras live.

    Example: roommood exporter --bind 127.0.0.1:9704
    """
    from roommood.shared.process import logs

    logs.setup(settings.log_format, settings.log_level, "exporter")

    from roommood.aggregator.prometheus.exporter import Exporter

    raise typer.Exit(Exporter(settings).run())


@with_settings(MqttSettings)
def mqtt(settings: MqttSettings) -> None:
    """Tell Home Assistant, by MQTT discovery, which expressions the rooms show.

    Example: roommood mqtt --broker mqtts://home:8883 --user roommood --password-file mqtt.password
    """
    from roommood.shared.process import logs

    logs.setup(settings.log_format, settings.log_level, "mqtt")

    from roommood.aggregator.mqtt.bridge import Bridge

    raise typer.Exit(Bridge(settings).run())


@with_settings(NotifySettings)
def notify(settings: NotifySettings) -> None:
    """Tell people, by webhook, ntfy, mail or a program, what is wrong and when it is over.

    Example: roommood notify --urls-file notify.urls
    """
    from roommood.shared.process import logs

    logs.setup(settings.log_format, settings.log_level, "notify")

    from roommood.aggregator.notify.notifier import Notifier

    raise typer.Exit(Notifier(settings).run())


def mount(app: typer.Typer) -> None:
    """Add these commands to a typer app."""
    for command in (exporter, mqtt, notify):
        app.command(rich_help_panel=_PANEL)(command)
