"""From a file, the environment and flags to the settings of one component."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from roommood.shared.errors import ConfigError
from roommood.shared.process.settings.file import SettingsFile
from roommood.shared.process.settings.rows import Row, Table, rows_of
from roommood.shared.process.settings.tables import problem, shown, unknown_variables

T = TypeVar("T", bound=Table)

_NOTHING: Final[Mapping[str, str]] = {}


def load(
    table: type[T],
    path: Path | None,
    given: Mapping[str, Any],
    environ: Mapping[str, str] = _NOTHING,
) -> T:
    """Settings of one component: defaults, the file, the environment, then what was given.

    Args:
        path: a TOML file, or None for none.
        given: flags by key; None means "not given".
        environ: an empty variable counts as none.

    Raises:
        ConfigError: all that is wrong, a line each: place, key, value and what is allowed.
    """
    file = SettingsFile.read(path) if path else None
    sources = _Sources(given, environ, file)
    values = {row.key: sources.value_of(row) for row in rows_of(table)}
    known = table.known_otherwise(values) if sources.missing else {}
    values |= {row.key: known.get(row.key) for row in sources.missing}
    sources.problems.extend(_needed(row) for row in sources.missing if row.key not in known)
    problems = [*unknown_variables(environ), *sources.problems, *(file.problems() if file else ())]
    if problems:
        raise ConfigError("\n".join(problems))
    return table(**{key: value for key, value in values.items() if value is not None})


@dataclass(frozen=True, slots=True)
class _Sources:
    given: Mapping[str, Any]
    environ: Mapping[str, str]
    file: SettingsFile | None
    problems: list[str] = field(default_factory=list)
    missing: list[Row] = field(default_factory=list)

    def value_of(self, row: Row) -> Any:
        """The value that wins, or all of them where they add up; None where the default is to hold
        or there is a problem."""
        values = self._values_of(row)
        if row.adds_up:
            return tuple(item for value in values for item in value or ()) or None
        try:
            return next(values)
        except StopIteration:
            if row.is_needed:
                self.missing.append(row)
            return None

    def _values_of(self, row: Row) -> Iterator[Any]:
        """Each, the one that wins first; None in the place of one with a problem."""
        if (value := self.given.get(row.key)) is not None:
            yield self._checked(row, value, _flag(row, value))
        for name in row.variables:
            if text := self.environ.get(name):
                yield self._checked(row, text, f"{name}={shown(row, text)}")
        for table, key in row.places:
            values = self.file.table(table) if self.file else {}
            if key in values:
                # The file says by itself, and with the line, what is wrong with it.
                yield None if problem(row, values[key]) else row.kind.check(values[key])

    def _checked(self, row: Row, value: Any, place: str) -> Any:
        if fault := problem(row, value):
            self.problems.append(f"{place}: {fault}")
            return None
        return row.kind.check(value)


def _flag(row: Row, value: Any) -> str:
    return row.flag if isinstance(value, list | tuple) else f"{row.flag} {shown(row, value)}"


def _needed(row: Row) -> str:
    return (
        f"{row.flag} is needed: give it, set {row.variable}, or set {row.key} under "
        f"[{row.table}] in a settings file"
    )
