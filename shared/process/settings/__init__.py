"""Settings: a TOML file, then the environment, then flags; typed, frozen, and picky.

One row a setting (`components`, `readers`): the file's tables, the environment's variables, the
commands' options and docs/settings.md are made from it. A name that no row has is an error that
says where it stands and which name comes nearest.
"""

from roommood.shared.process.settings.components import (
    DEFAULT_FRAMES_ADDRESS,
    DEFAULT_REDIS_URL,
    DEFAULT_REPORTS_ADDRESS,
    AggregatorSettings,
    CameraSettings,
    Component,
    PictureSettings,
    Settings,
    WorkerSettings,
)
from roommood.shared.process.settings.load import load
from roommood.shared.process.settings.readers import (
    DashboardSettings,
    ExporterSettings,
    MqttSettings,
    NotifySettings,
    PreviewSettings,
    RedisSettings,
)
from roommood.shared.process.settings.tables import TABLES

__all__ = [
    "DEFAULT_FRAMES_ADDRESS",
    "DEFAULT_REDIS_URL",
    "DEFAULT_REPORTS_ADDRESS",
    "TABLES",
    "AggregatorSettings",
    "CameraSettings",
    "Component",
    "DashboardSettings",
    "ExporterSettings",
    "MqttSettings",
    "NotifySettings",
    "PictureSettings",
    "PreviewSettings",
    "RedisSettings",
    "Settings",
    "WorkerSettings",
    "load",
]
