"""What a site's file says of a room, from the file to Redis."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from roommood.aggregator.redis import keys as redis_keys
from roommood.deploy.keys.redis_users import RedisAccess, write_redis_access
from roommood.deploy.keys.site_keys import SiteKeys
from roommood.deploy.site.machine import Machine
from roommood.deploy.site.parts import KEYS, WRITER_PASSWORD
from roommood.deploy.site.release import WRITER_URL
from roommood.deploy.site.room_settings import ROOMMOOD, set_rooms, shell_command
from roommood.deploy.site.rooms import Room
from roommood.deploy.site.site_file import read_site
from roommood.shared.errors import ConfigError
from tests.deploy.site.deploys import deploy
from tests.deploy.site.ssh_machine import SshMachine
from tests.redis_server import RedisServer

# Nobody listens there.
SITE = """
[desktop]
host = "127.0.0.1"
address = "desk.lan"
ssh_port = 1

[[camera]]
name = "kitchen-1"
room = "kitchen"
host = "192.0.2.7"

[[camera]]
name = "den-1"
room = "den"
host = "192.0.2.8"
"""
KITCHEN = """
[[room]]
name = "kitchen"
group = "-- first floor's"
views = "apart"
quiet = ["Mon-Fri 22:00-06:00", "sat 00:00-24:00"]
timezone = "Asia/Kolkata"
"""
ADMIN = "test-admin:only-here"
# Tells the words that it was given, one a line, and fails for one room.
RECORDER = """#!/bin/sh
printf '%s\\n' "$@" end >>/srv/said
case " $* " in
*" attic "*) echo "no such thing" >&2; exit 2 ;;
*" cellar "*) echo "no time zone by name: give --timezone" >&2; exit 2 ;;
esac
echo done
"""


def rooms(folder: Path, text: str) -> tuple[Room, ...]:
    path = folder / "site.toml"
    path.write_text(SITE + text)
    return read_site(path).rooms


def test_what_is_not_said_of_a_room_is_not_set(tmp_path: Path) -> None:
    assert rooms(tmp_path, "") == ()
    (only_named,) = rooms(tmp_path, '[[room]]\nname = "den"\n')
    assert only_named.commands() == []
    (room,) = rooms(tmp_path, '[[room]]\nname = "den"\nviews = "same"\n')
    assert room.commands() == [("views", "--", "den", "same")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "kichen"', "'kichen' is no camera's room; did you mean 'kitchen'?"),
        ('name = "den"\n[[room]]\nname = "den"', "two [[room]] have the name 'den'"),
        ('name = "den"\nquiets = []', "room 1: unknown key 'quiets'; did you mean 'quiet'?"),
        ('views = "apart"', "room 1 name: is needed"),
        ('name = "den"\nviews = "both"', "give 'same' or 'apart'"),
        ('name = "den"\nquiet = ["nights"]', "are not a span of time: write for example"),
        ('name = "den"\nquiet = "22:00-06:00"', "room 1 quiet: give a list"),
        ('name = "den"\nquiet = ["22:00-06:00"]\ntimezone = "Asia/Kalkata"', "Asia/Kolkata"),
        ('name = "den"\ntimezone = "UTC"', "give quiet as well"),
        (f'name = "den"\ngroup = "{"x" * 41}"', "give 1 to 40 letters"),
    ],
)
def test_a_mistake_in_a_room_is_told_with_what_to_do(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        rooms(tmp_path, f"[[room]]\n{text}\n")
    assert message in str(error.value)
    assert "site.toml" in str(error.value)


def test_a_room_is_written_in_two_brackets(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"write \[\[room\]\], in two brackets"):
        rooms(tmp_path, '[room]\nname = "den"\n')


@pytest.fixture
def access(tmp_path: Path) -> RedisAccess:
    return write_redis_access(tmp_path / "access")


@pytest.fixture
def redis_server(access: RedisAccess) -> Iterator[RedisServer]:
    """With the shipped logins, and an administrator to look around."""
    user, _, password = ADMIN.partition(":")
    with access.acl.open("a") as acl:
        acl.write(f"user {user} on >{password} ~* &* +@all\n")
    with RedisServer(login=ADMIN, aclfile=str(access.acl)) as server:
        yield server


def run_here(room: Room, server: RedisServer, access: RedisAccess) -> None:
    """The desktop's commands with this machine's program, Redis and password."""
    here = {
        str(ROOMMOOD): str(Path(sys.executable).with_name("roommood")),
        WRITER_URL: server.url.replace("unix://", "unix://writer@"),
        str(KEYS / WRITER_PASSWORD): str(access.writer_password),
    }
    for words in room.commands():
        command = [here.get(word, word) for word in shlex.split(shell_command(words))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr


def test_the_commands_set_a_room_that_nobody_has_seen_yet_and_take_it_away_again(
    tmp_path: Path, redis_server: RedisServer, access: RedisAccess
) -> None:
    (kitchen,) = rooms(tmp_path, KITCHEN)
    tables = (redis_keys.GROUPS, redis_keys.VIEWS, redis_keys.QUIET_HOURS)
    with redis_server.client() as client:
        run_here(kitchen, redis_server, access)
        assert [client.hgetall(table) for table in tables] == [
            {"kitchen": "-- first floor's"},
            {"kitchen": "apart"},
            {"kitchen": "Asia/Kolkata; mon-fri 22:00-06:00; sat 00:00-24:00"},
        ]
        run_here(Room(name="kitchen", group="", views="same", quiet=()), redis_server, access)
        assert [client.hgetall(table) for table in tables] == [{}, {}, {}]


def test_a_desktop_is_given_each_word_as_it_stands_and_a_failure_is_told(
    there: SshMachine, tmp_path: Path
) -> None:
    (kitchen,) = rooms(tmp_path, KITCHEN)
    with Machine(there.reached("pi")) as machine:
        machine.run(f"mkdir -p {ROOMMOOD.parent} && cat >{ROOMMOOD} && chmod 755 {ROOMMOOD}",
                    stdin=RECORDER)  # fmt: skip
        attic = Room(name="attic", group="roof")
        lines, all_set = set_rooms(machine, (attic, kitchen))
    assert not all_set
    assert lines == [
        "room attic: FAILED: roommood group: no such thing",
        *["room kitchen: done"] * 3,
    ]
    *_, last, end = there.run("cat", "/srv/said").split("end\n")
    assert last.splitlines()[:2] == ["quiet", "--new"]
    assert last.splitlines()[-4:] == ["--", "kitchen", *(kitchen.quiet or ())]
    assert not end


def test_a_zone_that_the_desktop_does_not_know_is_asked_for_in_the_files_words(
    there: SshMachine,
) -> None:
    with Machine(there.reached("pi")) as machine:
        machine.run(f"mkdir -p {ROOMMOOD.parent} && cat >{ROOMMOOD} && chmod 755 {ROOMMOOD}",
                    stdin=RECORDER)  # fmt: skip
        lines, all_set = set_rooms(machine, [Room(name="cellar", quiet=("22:00-06:00",))])
    assert not all_set
    assert lines == [
        "room cellar: FAILED: roommood quiet: no time zone by name: give timezone of this "
        "[[room]] in the site's file"
    ]


def dry_run(there: SshMachine, folder: Path, more: str, *options: str) -> str:
    reach = f'ssh_port = {there.port}\nssh_key = "{there.folder / "id"}"'
    text = SITE.replace("ssh_port = 1", reach) + KITCHEN + more
    return deploy(folder, text, "--dry-run", *options)


def test_rooms_are_set_where_the_desktop_is_brought_up_to_date(
    there: SshMachine, tmp_path: Path
) -> None:
    output = dry_run(there, tmp_path, "", "--only", "desktop")
    assert output.endswith("room kitchen: would set: group, views, quiet\n")
    assert "room kitchen" not in dry_run(there, tmp_path, "", "--only", "den-1")


SWITCHES = "[site]\npage_switches = true\n"


@pytest.mark.parametrize(
    "switches", [SWITCHES, "[site]\nmqtt = 'mqtts://home'\nmqtt_switches = true\n"]
)
def test_the_operators_password_goes_to_the_desktop_where_page_or_bridge_has_switches(
    there: SshMachine, tmp_path: Path, switches: str
) -> None:
    SiteKeys(tmp_path / "keys").init()
    write_redis_access(tmp_path / "keys/redis")
    placed = "would change: /etc/roommood/keys/redis-operator.password"
    assert placed in dry_run(there, tmp_path, switches, "--only", "desktop")


def test_the_operators_password_lies_on_the_desktop_only_where_something_has_switches(
    there: SshMachine, tmp_path: Path
) -> None:
    SiteKeys(tmp_path / "keys").init()
    made = write_redis_access(tmp_path / "keys/redis")
    assert "operator" not in dry_run(there, tmp_path, "", "--only", "desktop")

    there.run("mkdir", "-p", "/etc/roommood/keys")
    there.run("touch", "/etc/roommood/keys/redis-operator.password")
    goes = "would change: /etc/roommood/keys/redis-operator.password goes"
    assert goes in dry_run(there, tmp_path, "", "--only", "desktop")
    assert "goes" not in dry_run(there, tmp_path, SWITCHES, "--only", "desktop")

    made.operator_password.unlink()
    with pytest.raises(ConfigError, match=r"(?s)page_switches: there is no .*keys redis --force"):
        dry_run(there, tmp_path, SWITCHES, "--only", "desktop")
