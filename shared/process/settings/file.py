"""A TOML file with settings: what it says, in which line, and everything that is wrong with it."""

import re
import shlex
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roommood.shared.errors import ConfigError
from roommood.shared.process.settings.tables import TABLES, nearest, problem_with
from roommood.shared.security.secret_urls import holds_password
from roommood.shared.text_file import read_text, why


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """What a file says."""

    path: Path
    text: str
    document: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "SettingsFile":
        """Raises ConfigError for a file that cannot be read, or is not TOML."""
        try:
            text = read_text(path)
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot read the settings file {path}: {why(error)}") from error
        try:
            return cls(path, text, tomllib.loads(text))
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path}: not TOML: {error}") from error

    def table(self, name: str) -> dict[str, Any]:
        """What stands under a table; nothing where it is none."""
        values = self.document.get(name, {})
        return values if isinstance(values, dict) else {}

    def problems(self) -> list[str]:
        """Everything that is wrong, whichever component it concerns, by line."""
        problems = [problem for name in self.document for problem in self._problems_of(name)]
        problems += self._passwords_that_others_read()
        return [
            f"{self.path}:{line}: {problem}"
            for line, problem in sorted(problems, key=lambda f: f[0])
        ]

    def _problems_of(self, name: str) -> Iterator[tuple[int, str]]:
        if name not in TABLES:
            yield self._line_of_table(name), f"unknown table {name!r}{nearest(name, TABLES)}"
        elif not isinstance(self.document[name], dict):
            yield self._line_of_table(name), f"{name} is not a table: write [{name}]"
        else:
            for key, value in self.document[name].items():
                if problem := problem_with(name, key, value):
                    yield self._line_of(name, key), problem

    def _passwords_that_others_read(self) -> Iterator[tuple[int, str]]:
        """Of network cameras; one of Redis is refused wherever it stands."""
        source = self.table("camera").get("source")
        if isinstance(source, str) and holds_password(source) and self._is_read_by_others():
            yield (
                self._line_of("camera", "source"),
                "source holds a password, and others can read this file: chmod 600 "
                f"{shlex.quote(str(self.path))}, "
                "or put the password into a file of its own: source_password_file",
            )

    def _is_read_by_others(self) -> bool:
        return bool(self.path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))

    def _line_of_table(self, name: str) -> int:
        word = re.escape(name)
        match = re.search(rf"^\s*(\[+\s*{word}\b|{word}\s*=)", self.text, re.MULTILINE)
        return self._line_at(match.end()) if match else 1

    def _line_of(self, table: str, key: str) -> int:
        header = re.search(rf"^\s*\[\s*{table}\s*\]", self.text, re.MULTILINE)
        start = header.end() if header else 0
        pattern = re.compile(rf"^\s*(?:{table}\s*\.\s*)?{re.escape(key)}\s*=", re.MULTILINE)
        match = pattern.search(self.text, start)
        return self._line_at(match.end() if match else start)

    def _line_at(self, place: int) -> int:
        return self.text.count("\n", 0, place) + 1
