"""What the demo prints: to a terminal a live table, to a pipe a line per room every few seconds."""

import math
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.stats.figures import RoomPeriod
from roommood.aggregator.stats.live import RoomNow
from roommood.aggregator.terminal.tables import headline, live_line, live_table, summary_table
from roommood.deploy.demo.plan import DemoCamera, Plan
from roommood.deploy.demo.private_redis import PrivateRedis
from roommood.deploy.demo.processes import Child
from roommood.shared.counted import counted

_LINES_EVERY_S: Final = 5.0
_FIRST_LINES_AFTER_S: Final = 2.0
_PIPE_WIDTH: Final = 160
_INDENT: Final = "  "

Update = Callable[[Sequence[RoomNow], float], None]


class DemoView:
    """All that the demo says, in the order in which it says it."""

    def __init__(self, plan: Plan, redis: PrivateRedis) -> None:
        self._plan = plan
        self._redis = redis
        self._command = roommood_command()
        plain = Console()
        self._console = plain if plain.is_terminal else Console(width=_PIPE_WIDTH)

    def announce(self) -> None:
        cameras, rooms = _cameras(self._plan.cameras), self._plan.rooms
        where = f"{counted(len(rooms), 'room')} ({', '.join(rooms)})"
        self._say("[bold]roommood demo[/]: the whole pipeline, on this computer only")
        self._say(f"{cameras} in {where} → inference worker → aggregator → Redis\n")
        self._say(f"Starting {len(self._plan.programs) + 1} processes, which takes some seconds:")

    def is_ready(self, child: Child) -> None:
        self._say(f"  [green]ready[/] after {child.age_s:4.1f} s  {child.name}")

    def how_to_ask(self) -> None:
        room = self._plan.rooms[0]
        self._say("\nWhile it runs, ask its Redis from another terminal:")
        self._command_line(self._stats_command(room, "1m"))
        if self._redis.cli:
            self._command_line(f'{self._redis.cli} HGETALL "{redis_keys.live(room)}"')
        self._say("")

    def opened(self, in_browser: bool) -> None:
        """Tells where the live page is."""
        how = "opened in your browser" if in_browser else "open it in a browser"
        self._say(f"The live page ({how}), for this computer only:")
        self._command_line(self._plan.dashboard_url)
        self._say("")

    @contextmanager
    def live(self) -> Iterator[Update]:
        """Gives what shows the rooms and the seconds left."""
        if not self._console.is_terminal:
            yield self._lines()
            return
        # Refreshed by hand: a thread of its own would go on drawing while an error is told.
        with Live(console=self._console, auto_refresh=False) as screen:
            yield lambda rooms, left_s: screen.update(_screen(rooms, left_s), refresh=True)

    def keeps_running(self) -> None:
        self._say("It goes on, for you to ask with the commands above, until Ctrl+C.\n")

    def stopping(self) -> None:
        self._say("Stopping: cameras, worker, aggregator; what is under way is still counted.\n")

    def statistics(self, periods: Sequence[RoomPeriod], last_s: int) -> None:
        self._say("[bold]The statistics in Redis[/], as these commands print them:")
        self._say("(a period begins at a whole 10 s, so coverage includes time before the start)\n")
        for period in periods:
            self._command_line(self._stats_command(period.room, f"{last_s}s"))
            self._say(indent(headline(period), _INDENT), markup=False)
            if period.shares:
                table = Padding(summary_table(period), (0, 0, 0, len(_INDENT)), expand=False)
                self._console.print(table)
            self._say("")

    def farewell(self, kept: bool) -> None:
        self._say("This is the expression shown on faces, not what anybody feels.")
        self._say("The demo's Redis ends with it, and no picture was ever stored.")
        if not kept:
            self._say("To leave it running and ask it yourself:")
            self._command_line(f"{self._command} demo --keep")

    def _lines(self) -> Update:
        due_s = time.monotonic() + _FIRST_LINES_AFTER_S

        def update(rooms: Sequence[RoomNow], left_s: float) -> None:
            nonlocal due_s
            if time.monotonic() < due_s and left_s > 0:
                return
            due_s = time.monotonic() + _LINES_EVERY_S
            for now in rooms:
                self._say(live_line(now), markup=False)

        return update

    def _stats_command(self, room: str, last: str) -> str:
        return f"{self._command} stats {room} --last {last} --redis {shlex.quote(self._redis.url)}"

    def _command_line(self, command: str) -> None:
        self._console.print(Text(f"{_INDENT}{command}", style="cyan"), soft_wrap=True)

    def _say(self, text: str, markup: bool = True) -> None:
        self._console.print(text, highlight=False, markup=markup, soft_wrap=True)
        sys.stdout.flush()


def roommood_command() -> str:
    """How a person calls `roommood` from where they are: by its name if that finds this one."""
    here = Path(sys.executable).with_name("roommood")
    on_path = shutil.which("roommood")
    if not here.is_file() or (on_path and Path(on_path).resolve() == here.resolve()):
        return "roommood"
    try:
        return shlex.quote(str(here.relative_to(Path.cwd())))
    except ValueError:
        return shlex.quote(str(here))


def _cameras(cameras: Sequence[DemoCamera]) -> str:
    kind = "simulated camera" if cameras[0].source.startswith("simulated") else "camera"
    return counted(len(cameras), kind)


def _screen(rooms: Sequence[RoomNow], left_s: float) -> RenderableType:
    if left_s <= 0:
        return live_table(rooms)
    left = f"{left_s:.0f} s left; " if left_s < math.inf else ""
    return Group(live_table(rooms), Text(f"{left}Ctrl+C ends it", style="dim"))
