"""docs/settings.md, written from the tables of settings: run this module."""

import sys
from collections.abc import Iterator
from typing import Final

from roommood.shared.process.settings.rows import Row, rows_of
from roommood.shared.process.settings.tables import OTHER_VARIABLES, TABLES

_INTRODUCTION: Final = """\
# Settings

<!-- Written by `python -m roommood.shared.process.settings.document`. -->

Each setting can be given as a flag, in the environment and in a TOML file (`--config FILE` or
`ROOMMOOD_CONFIG`), under the table that the headings below name. Flags win over the environment,
the environment over the file. Of two variables the first wins; an empty one counts as none. But
masks and quiet hours add up: what one place says takes nothing from another.

A key or table that is not known, or a variable that starts with `ROOMMOOD_` and is not, is an error
that names the nearest one that is; all errors come at once, those of a file with their lines. In a
variable the items of a list are separated by spaces, or it is a JSON list; `true`, `yes`, `on` and
`1` switch on, `false`, `no`, `off` and `0` off, as `--no-...` does. No password is a setting: a
file holds it.
"""
_ABOUT: Final = {
    "camera": "`camera-node`, `roommood camera`; the preview too reads how the picture is to be.",
    "worker": "`inference-worker`, `roommood worker`.",
    "aggregator": "`aggregator`, `roommood aggregator`.",
    "redis": "Which Redis the commands that look at rooms and change what is kept use: `roommood "
    "rooms`, `stats`, `export`, `watch`, `pause`, `resume`, `views`, `group`, `quiet`, `forget`. A "
    "component whose own table has no `redis_url` or `redis_password_file` uses what stands here.",
    "dashboard": "`roommood dashboard`.",
    "exporter": "`roommood exporter`.",
    "mqtt": "`roommood mqtt`.",
    "notify": "`roommood notify`.",
    "preview": "`roommood camera preview`.",
}


def settings_page() -> str:
    """The whole page, as it is to lie in docs/."""
    parts = [_INTRODUCTION, *(_section(name) for name in TABLES), _others()]
    return "\n".join(parts)


def _section(name: str) -> str:
    rows = [row for row in rows_of(TABLES[name]) if row.table == name]
    head = "| Setting | Value | Unless given | What it is |\n| --- | --- | --- | --- |"
    lines = [f"| {_names(row)} | {_value(row)} | {row.shown} | {_cell(row.help)} |" for row in rows]
    return "\n".join([f"## `[{name}]`\n", f"{_ABOUT[name]}\n", head, *lines, ""])


def _names(row: Row) -> str:
    flags = [f"`{flag}`" for flag in row.flags]
    variables = [f"`{name}`" for name in row.variables]
    return "<br>".join([f"`{row.key}`", ", ".join(flags), *variables])


def _value(row: Row) -> str:
    bounds = f": {row.kind.bounds}" if row.kind.bounds else ""
    return _cell(f"{row.kind.name}{bounds}{f', {row.unit}' if row.unit else ''}")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _others() -> str:
    return "\n".join(["## Other variables\n", *_lines_of_others(), ""])


def _lines_of_others() -> Iterator[str]:
    yield "| Variable | What it is |\n| --- | --- |"
    for name, about in OTHER_VARIABLES.items():
        yield f"| `{name}` | {about} |"


if __name__ == "__main__":
    sys.stdout.write(settings_page())
