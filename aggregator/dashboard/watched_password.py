"""The page's password as its file has it now: one that was changed lets nobody in any more."""

import logging
from pathlib import Path

from roommood.aggregator.dashboard.sessions import Sessions
from roommood.shared.errors import ConfigError
from roommood.shared.process.logs import event
from roommood.shared.security.page_password import read_page_password
from roommood.shared.security.private_file import file_identity

_log = logging.getLogger(__name__)


class WatchedPassword:
    """Looks at the file each time it is asked. One that cannot be read changes nothing."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError for a file that is no secret."""
        self._path = path
        self._seen = file_identity(path)
        self._sessions = Sessions(read_page_password(path) or "")

    @property
    def sessions(self) -> Sessions:
        """Of those who have given it; nobody has where it is a new one."""
        identity = file_identity(self._path)
        if identity != self._seen:
            self._seen = identity
            self._read()
        return self._sessions

    def _read(self) -> None:
        try:
            password = read_page_password(self._path) or ""
        except ConfigError as error:
            text = "the page's password cannot be read: the one before holds"
            event(_log, logging.ERROR, text, why=str(error))
            return
        if not self._sessions.is_password(password):
            self._sessions = Sessions(password)
            event(_log, logging.INFO, "the page has another password: all are asked again")
