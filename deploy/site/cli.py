"""The `roommood deploy` command."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode="markdown")


@app.command()
def deploy(
    site: Annotated[
        Path, typer.Argument(metavar="SITE.TOML", help="File that describes the site.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look, say what would change, change nothing.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="NAME", show_default="all",
            help="A camera by its name, or `desktop`; may be given again.",
        ),
    ] = None,
    wheelhouse: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", show_default="the package index", exists=True, file_okay=False,
            help="Install from this folder of wheels, for machines without internet.",
        ),
    ] = None,
    remove: Annotated[
        bool,
        typer.Option(
            "--remove", help="Take roommood off the machines, with its settings, keys and data."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before removing.")] = False,
) -> None:  # fmt: skip
    """Bring a desktop and its Pis to what one file says: programs, keys, settings, services.

    A second run changes nothing. A new version that does not come up is taken back. The exit code
    is 1 where a machine could not be brought there; the others are still tried.

    Example: `roommood deploy site.toml --dry-run`
    """
    from deploy.site.deploy import Deployment
    from deploy.site.site_file import read_site

    plan = read_site(site)
    names = tuple(only or ())
    run = Deployment(plan, typer.echo, wheelhouse=wheelhouse, dry_run=dry_run)
    if not remove:
        raise typer.Exit(run.run(names))
    if dry_run:
        raise typer.BadParameter("--remove changes things: not with --dry-run")
    if not yes:
        typer.confirm(
            f"Remove roommood and all it counted from {', '.join(names) or 'every machine'}?",
            abort=True,
        )
    raise typer.Exit(run.remove(names))
