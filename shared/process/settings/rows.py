"""One row for each setting: from it come its key in TOML, its variable, its flag and its docs.

A table is a frozen dataclass whose fields are made by `row`; its name is `TABLE`. Example:

    threads: int = row(whole(1, 64), 1, "Compute threads.", WORK)
"""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, Final, TypeVar

from roommood.shared.process.settings.kinds import Kind

T = TypeVar("T")
D = TypeVar("D")

PREFIX: Final = "ROOMMOOD_"
_ROW: Final = "row"
# For a setting without a default: typed as whatever the kind gives.
NEEDED: Final[Any] = MISSING


@dataclass(frozen=True, kw_only=True)
class Table:
    """Settings that stand under one [TABLE] of a file."""

    TABLE: ClassVar[str]

    @classmethod
    def known_otherwise(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG003
        """Settings that must be given and were not, as far as `values` lead to them."""
        return {}


@dataclass(frozen=True, slots=True)
class Row:
    """One setting.

    Attributes:
        table: the table in which it stands, of whichever component it is.
        default: MISSING where it must be given.
        shown: what stands for the default in help and docs.
        flags: names on the command line.
        shared_as: an older or wider environment variable that gives it, too.
        falls_back: table and key of a file where it is looked up next.
        is_secret: its value never stands in a message.
        adds_up: a list that protects, of which what is given in one place takes nothing of what
            is given in another.
    """

    key: str
    table: str
    kind: Kind[Any]
    default: Any
    help: str
    panel: str
    unit: str
    shown: str
    flags: tuple[str, ...]
    shared_as: str
    falls_back: tuple[str, str] | None
    is_secret: bool
    adds_up: bool

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return self.flags[0]

    @property
    def is_needed(self) -> bool:
        return self.default is MISSING

    @property
    def variable(self) -> str:
        """Its own environment variable."""
        return f"{PREFIX}{self.table}_{self.key}".upper()

    @property
    def variables(self) -> tuple[str, ...]:
        """Its environment variables; the first that is set counts."""
        return (self.variable, self.shared_as) if self.shared_as else (self.variable,)

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """Tables and keys in a file; the first that is there counts."""
        own = (self.table, self.key)
        return (own, self.falls_back) if self.falls_back else (own,)


def row(
    kind: Kind[T],
    default: D,
    help_text: str,
    panel: str,
    *,
    unit: str = "",
    shown: str = "",
    flags: tuple[str, ...] = (),
    shared_as: str = "",
    falls_back: tuple[str, str] | None = None,
    table: str = "",
    is_secret: bool = False,
    adds_up: bool = False,
) -> T | D:
    """A dataclass field that is a setting; the arguments are those of `Row`.

    `table` is for a setting that a component reads from the table of another.
    """
    about = {
        "kind": kind, "default": default, "help": help_text, "panel": panel, "unit": unit,
        "shown": shown, "flags": flags, "shared_as": shared_as, "falls_back": falls_back,
        "table": table, "is_secret": is_secret, "adds_up": adds_up,
    }  # fmt: skip
    made: Any = field(default=default, metadata={_ROW: about})
    return made  # type: ignore[no-any-return]


def rows_of(table: type[Table]) -> Iterator[Row]:
    """The settings of a table: its own, then those that it shares."""
    by_name = {field.name: field for field in fields(table)}
    names = [name for each in table.__mro__ for name in inspect.get_annotations(each)]
    for name in dict.fromkeys(name for name in names if name in by_name):
        about = {**by_name[name].metadata[_ROW]}
        about["table"] = about["table"] or table.TABLE
        about["flags"] = about["flags"] or ("--" + name.replace("_", "-"),)
        about["shown"] = about["shown"] or _shown(about["default"])
        yield Row(key=name, **about)


def _shown(default: Any) -> str:
    if default is MISSING or default is None or default == ():
        return "none"
    if isinstance(default, bool):
        return "on" if default else "off"
    if isinstance(default, tuple):
        return " ".join(str(item).removeprefix("tcp://") for item in default)
    return f"{default:g}" if isinstance(default, float) else str(default).removeprefix("tcp://")
