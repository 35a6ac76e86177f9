"""The `roommood keys redis` command: who may do what in Redis."""

from dataclasses import astuple
from pathlib import Path
from typing import Annotated, Final

import typer

DEFAULT_FOLDER: Final = Path("~/.config/roommood/redis")


def redis(
    folder: Annotated[
        Path,
        typer.Option(
            "--dir", metavar="DIR", help="Folder for the five files.",
            show_default=str(DEFAULT_FOLDER),
        ),
    ] = DEFAULT_FOLDER,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that are there: new passwords.")
    ] = False,
) -> None:  # fmt: skip
    """Write a redis.conf, its ACL file, and passwords for a writer, a reader and an operator.

    The aggregator is the writer; statistics and dashboards need the reader only. The operator may
    pause rooms and cameras, set views, groups and quiet hours, and neither read nor write a figure.

    Example: `roommood keys redis`
    """
    from roommood.deploy.keys.redis_users import write_redis_access

    made = write_redis_access(folder, force=force)
    for path in astuple(made):
        typer.echo(f"made {path}")
    typer.echo("Redis reads both of its files as the user that it runs as, which must own them:")
    typer.echo(f"  redis-server {made.conf}")
    typer.echo("  aggregator --redis redis://writer@127.0.0.1:6379/0 \\")
    typer.echo(f"      --redis-password-file {made.writer_password}")
    typer.echo("  roommood stats ROOM --redis redis://reader@127.0.0.1:6379/0 \\")
    typer.echo(f"      --redis-password-file {made.reader_password}")


def mount(keys: typer.Typer) -> None:
    """Add the command to the app of `roommood keys`."""
    keys.command()(redis)
