"""Commands whose options are made from a table of settings."""

import functools
import inspect
import os
from collections.abc import Callable
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from roommood.shared.process.settings.components import LOGS
from roommood.shared.process.settings.load import load
from roommood.shared.process.settings.rows import Row, Table, rows_of

R = TypeVar("R")

# Filled in from the table; a command never gets its flags one by one.
_SETTINGS: Final = "settings"
_CONFIG: Final = "config"
_CONTEXT: Final = "context"
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="ROOMMOOD_CONFIG", help="TOML file with settings.",
        metavar="FILE", show_default="none", rich_help_panel=LOGS,
    ),
]  # fmt: skip


def with_settings(table: type[Table]) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """For a typer command with an argument `settings`: that table's flags become its options.

    The command gets the loaded settings; None where a subcommand was named, which has its own. An
    argument `config` gets the path of the file. Raises ConfigError as `load` does.
    """

    def decorate(command: Callable[..., R]) -> Callable[..., R]:
        rows = list(rows_of(table))
        own = inspect.signature(command).parameters

        @functools.wraps(command)
        def run(**values: Any) -> R:
            given = {row.key: values.pop(row.key) for row in rows}
            is_group = values[_CONTEXT].invoked_subcommand is not None
            loaded = None if is_group else load(table, values[_CONFIG], given, os.environ)
            values = {name: value for name, value in values.items() if name in own}
            return command(**values, settings=loaded)

        more = {_CONTEXT: typer.Context, _CONFIG: ConfigOption}
        made = [option for name, option in own.items() if name not in (_SETTINGS, *more)]
        made += [_parameter(row.key, _option(row)) for row in rows]
        made += [_parameter(name, annotation) for name, annotation in more.items()]
        _set_parameters(run, made)
        return run

    return decorate


def _set_parameters(run: Callable[..., Any], made: list[Parameter]) -> None:
    named = [option.replace(kind=Parameter.KEYWORD_ONLY) for option in made]
    run.__dict__["__signature__"] = inspect.Signature(named)
    run.__annotations__ = {option.name: option.annotation for option in named}


def _parameter(name: str, annotation: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _option(row: Row) -> Any:
    bounds = f" ({row.kind.bounds})" if _says_bounds(row) else ""
    about: dict[str, Any] = {
        # The environment is read with the file, so that all mistakes are told at once.
        "help": f"{row.help.removesuffix('.')}{bounds}. [env var: {row.variables[-1]}]",
        "show_default": row.shown,
        "rich_help_panel": row.panel,
    }
    if row.kind.is_switch:
        return Annotated[bool | None, typer.Option(f"{row.flag}/--no-{row.flag[2:]}", **about)]
    option = typer.Option(*row.flags, metavar=row.kind.metavar, **about)
    return (
        Annotated[list[str] | None, option] if row.kind.is_list else Annotated[str | None, option]
    )


def _says_bounds(row: Row) -> bool:
    return row.kind.name in ("number", "whole number")
