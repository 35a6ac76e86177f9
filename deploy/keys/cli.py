"""The `roommood keys` commands: who may take part in a site."""

import shlex
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from roommood.aggregator.terminal.common import print_table
from roommood.shared.process.command import new_app

if TYPE_CHECKING:
    from roommood.deploy.keys.site_keys import SiteKeys

_FRAMES_PORT: Final = 5701
_REPORTS_PORT: Final = 5700
DEFAULT_FOLDER: Final = Path("~/.config/roommood/keys")

app = new_app(
    help="Keys of workers, aggregators and cameras: make, list, renew and take away.",
    no_args_is_help=True,
)

KeysOption = Annotated[
    Path,
    typer.Option(
        "--keys", envvar="ROOMMOOD_KEYS", metavar="DIR", help="Key folder of the site.",
        show_default=str(DEFAULT_FOLDER),
    ),
]  # fmt: skip


@app.command()
def init(keys: KeysOption = DEFAULT_FOLDER) -> None:
    """Make the key folder of a site: one pair for its workers, one for its aggregators.

    Example: `roommood keys init`
    """
    site = _site(keys)
    site.init()
    folder = shlex.quote(str(site.folder))
    typer.echo(
        f"made {site.folder}, which only you can read; whoever has it can run the whole site"
    )
    typer.echo("next: roommood keys add-camera NAME --room ROOM, then start on this machine")
    typer.echo(f"  aggregator --keys {folder}")
    typer.echo(f"  inference-worker --keys {folder} --bind 0.0.0.0:{_FRAMES_PORT}")


@app.command()
def add_camera(
    name: Annotated[str, typer.Argument(help="Name of the camera: a-z, 0-9, _ and -.")],
    room: Annotated[str, typer.Option(help="Room that it watches; its key is for no other.")],
    keys: KeysOption = DEFAULT_FOLDER,
) -> None:
    """Let a camera in, with a key of its own, and write the one file to copy to it.

    Example: `roommood keys add-camera kitchen-1 --room kitchen`
    """
    site = _site(keys)
    _say_copy(site.add_camera(name, room))
    _say_list_changed(site.folder)


@app.command()
def add_worker(keys: KeysOption = DEFAULT_FOLDER) -> None:
    """Write the folder that a further machine with workers needs.

    Example: `roommood keys add-worker`
    """
    bundle = _site(keys).add_worker()
    typer.echo(f"copy {bundle} to the other machine, keep it readable for its user only, then")
    typer.echo("  delete it here, and start there:")
    aggregator, bind = f"{socket.gethostname()}:{_REPORTS_PORT}", f"0.0.0.0:{_FRAMES_PORT}"
    typer.echo(f"  inference-worker --keys {bundle.name} --bind {bind} --aggregator {aggregator}")
    typer.echo(f"  where aggregator --bind 0.0.0.0:{_REPORTS_PORT} runs on this machine")
    typer.echo("its cameras.toml must be copied again whenever a camera is added or revoked")


@app.command("list")
def list_keys(keys: KeysOption = DEFAULT_FOLDER) -> None:
    """Show whose keys there are, by fingerprint, and which serve; never a secret.

    Example: `roommood keys list`
    """
    from rich.table import Table
    from rich.text import Text

    table = Table("who", "room", "fingerprint", "state", box=None)
    for entry in _site(keys).listed():
        row = (entry.holder, entry.room, entry.fingerprint, entry.state)
        table.add_row(*(Text(cell) for cell in row))
    print_table(table)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Name of the camera.")],
    old: Annotated[
        bool, typer.Option("--old", help="All of its keys but the newest, after `rotate`.")
    ] = False,
    keys: KeysOption = DEFAULT_FOLDER,
) -> None:
    """Take a camera's key away: running workers refuse its next message.

    Example: `roommood keys revoke kitchen-1`
    """
    from roommood.shared.security.keys import fingerprint

    site = _site(keys)
    gone = site.revoke(name, all_but_newest=old)
    for entry in gone:
        typer.echo(f"revoked {entry.name} ({entry.room}), {fingerprint(entry.key)}")
    if not gone:
        typer.echo(f"{name} has only one key, which goes on to serve")
    _say_list_changed(site.folder)


@app.command()
def rotate(
    what: Annotated[
        str, typer.Argument(metavar="NAME|workers|aggregators", help="Whose key to renew.")
    ],
    keys: KeysOption = DEFAULT_FOLDER,
) -> None:
    """Renew a camera's key, or the pair of all workers or of all aggregators.

    A camera's old key serves beside the new one until `roommood keys revoke NAME --old`.

    Example: `roommood keys rotate kitchen-1`
    """
    site = _site(keys)
    if what == "aggregators":
        site.rotate_aggregators()
        _say_pair_changed(site.folder, "the workers first, then the aggregators")
    elif what == "workers":
        bundles = site.rotate_workers()
        _say_pair_changed(site.folder, "the workers first, then the aggregators")
        for bundle in bundles:
            _say_copy(bundle)
        if bundles:
            _say_list_changed(site.folder)
            typer.echo(
                "once all run with their new keys: roommood keys revoke NAME --old, for each"
            )
    else:
        _say_copy(site.rotate_camera(what))
        _say_list_changed(site.folder)
        typer.echo(f"once it runs with the new key: roommood keys revoke {what} --old")


def _site(folder: Path) -> "SiteKeys":
    from roommood.deploy.keys.site_keys import SiteKeys

    return SiteKeys(folder.expanduser())


def _say_copy(bundle: Path) -> None:
    typer.echo(f"copy {bundle} to the camera, keep it readable for its user only, then")
    typer.echo("  delete it here, and start there:")
    worker = f"{socket.gethostname()}:{_FRAMES_PORT}"
    typer.echo(f"  camera-node --keys {bundle.name} --source 0 --worker {worker}")


def _say_list_changed(folder: Path) -> None:
    typer.echo(f"workers that read {folder / 'cameras.toml'} know within a second or two;")
    typer.echo("  copy that file to every other machine with workers")


def _say_pair_changed(folder: Path, order: str) -> None:
    typer.echo(f"copy {folder / 'workers.key'} to every other machine with workers, and")
    typer.echo(f"  {folder / 'aggregators.key'} to every other machine with aggregators;")
    typer.echo(f"restart them all: {order}")
