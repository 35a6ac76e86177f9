"""Each command of the terminal with each login of the shipped ACL file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from typer.testing import CliRunner

from roommood.aggregator.counting.store import Store
from roommood.deploy.cli import app
from roommood.deploy.keys.redis_users import write_redis_access
from roommood.shared.clock import wall_ms
from roommood.shared.errors import StoreRefuses
from tests.aggregator.made import delivery, face, result
from tests.ports import free_port
from tests.redis_server import RedisServer

LOOKS: Final = (
    "rooms", "stats kitchen", "watch kitchen --seconds 0", "export kitchen", "report -o {report}",
)  # fmt: skip
SETS: Final = (
    "pause kitchen", "pause kitchen --camera door --new", "resume kitchen",
    "resume kitchen --camera door", "views kitchen apart", "group kitchen attic",
    "quiet kitchen 22:00-06:30",
)  # fmt: skip
SHOWS_HOURS: Final = "quiet kitchen"
FORGETS: Final = "forget kitchen --yes"
MAY: Final = {
    "writer": {*LOOKS, *SETS, SHOWS_HOURS, FORGETS},
    "reader": {*LOOKS, SHOWS_HOURS},
    "operator": {*SETS, SHOWS_HOURS},
}


class Guarded(NamedTuple):
    url: str
    passwords: dict[str, Path]

    def options(self, login: str) -> tuple[str, ...]:
        url = self.url.replace("unix://", f"unix://{login}@")
        return "--redis", url, "--redis-password-file", str(self.passwords[login])


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A Redis with the shipped ACL file that has counted something of the kitchen."""
    access = write_redis_access(tmp_path_factory.mktemp("access"))
    with access.acl.open("a") as acl:
        acl.write("user test-admin on >only-here ~* &* +@all\n")
    passwords = {
        "writer": access.writer_password,
        "reader": access.reader_password,
        "operator": access.operator_password,
    }
    with RedisServer(
        login="test-admin:only-here", aclfile=str(access.acl), port=str(free_port())
    ) as server:
        guarded = Guarded(server.url, passwords)
        _, url, _, _ = guarded.options("writer")
        store, now_ms = Store(url, access.writer_password), wall_ms()
        store.check_schema()
        store.commit([delivery(result(1, face(), room="kitchen"), now_ms - 100)], now_ms)
        store.touch_rooms({"kitchen": now_ms})
        store.close()
        yield guarded


@pytest.mark.parametrize("command", [*LOOKS, *SETS, SHOWS_HOURS, FORGETS])
def test_each_login_may_do_what_it_is_for_and_nothing_else(
    guarded: Guarded, command: str, tmp_path: Path
) -> None:
    words = command.format(report=tmp_path / "report.html").split()
    for login in ("operator", "reader", "writer"):
        done = CliRunner().invoke(app, [*words, *guarded.options(login)])
        if command in MAY[login]:
            assert done.exit_code == 0, (login, done.output, done.exception)
        else:
            assert isinstance(done.exception, StoreRefuses), (login, done.output)


def test_a_login_that_may_not_see_the_rooms_says_that_the_name_was_not_looked_up(
    guarded: Guarded,
) -> None:
    done = CliRunner().invoke(app, ["views", "kitchen", "same", *guarded.options("operator")])
    assert (done.exit_code, "as it is spelt" in done.stderr) == (0, True)
    done = CliRunner().invoke(app, ["pause", "kitchen", "--new", *guarded.options("operator")])
    assert (done.exit_code, done.stderr) == (0, "")
