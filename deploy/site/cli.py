"""The `roommood deploy` command."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode="markdown")


@app.command()
def deploy(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[CAMERA] SITE.TOML",
            help="File that describes the site; with --card, the camera's name before it.",
        ),
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
            metavar="DIR", show_default="this roommood", exists=True, file_okay=False,
            help="Install from this folder of wheels, for machines without internet. Without it "
            "they get this very roommood, and what it needs from the package index.",
        ),
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", show_default="over ssh", exists=True, file_okay=False,
            help="Boot partition of a freshly flashed card: make it the camera's, instead of going "
            "to a machine.",
        ),
    ] = None,
    remove: Annotated[
        bool,
        typer.Option(
            "--remove", help="Take roommood off the machines, with its settings and keys; what was "
            "counted stays on the desktop."
        ),
    ] = False,
    purge: Annotated[
        bool,
        typer.Option(
            "--purge", help="With --remove: delete what was counted, too. Asks for the desktop's "
            "host, even with --yes."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before removing.")] = False,
) -> None:  # fmt: skip
    """Bring a desktop and its Pis to what one file says: programs, keys, settings, services.

    A second run changes nothing. A new version that does not come up is taken back. The exit code
    is 1 where a machine could not be brought there; the others are still tried.

    Example: `roommood deploy site.toml --dry-run`

    With --card, a Raspberry Pi becomes a camera by itself when it starts from that card for the
    first time: `roommood deploy --card /media/bootfs kitchen-1 site.toml --wheelhouse wheels`
    """
    from roommood.deploy.site.deploy import Deployment
    from roommood.deploy.site.site_file import DESKTOP, read_site

    camera, site = _camera_and_site(words, is_card=card is not None)
    plan = read_site(site)
    names = tuple(only or ())
    run = Deployment(plan, typer.echo, wheelhouse=wheelhouse, dry_run=dry_run)
    if purge and not remove:
        raise typer.BadParameter("--purge deletes what was counted: only with --remove")
    if card is not None:
        if remove or dry_run or names:
            raise typer.BadParameter("--card goes with --wheelhouse alone")
        raise typer.Exit(run.write_card(camera, card))
    if not remove:
        raise typer.Exit(run.run(names))
    if dry_run:
        raise typer.BadParameter("--remove changes things: not with --dry-run")
    if purge and names and DESKTOP not in names:
        raise typer.BadParameter(f"--purge deletes what lies on the desktop: add --only {DESKTOP}")
    if not yes:
        where = ", ".join(names) or "every machine"
        typer.confirm(f"Remove roommood, its settings and keys from {where}?", abort=True)
    if purge:
        _ask_for(plan.desktop.host)
    raise typer.Exit(run.remove(names, purge=purge))


def _camera_and_site(words: list[str], *, is_card: bool) -> tuple[str, Path]:
    if len(words) != 1 + is_card:
        expected = (
            "the camera's name, and then the site's file" if is_card else "one file of a site"
        )
        raise typer.BadParameter(f"give {expected}")
    return words[0] if is_card else "", Path(words[-1])


def _ask_for(host: str) -> None:
    answer = typer.prompt(f"All that was counted on {host} will be gone. Type {host} to delete it")
    if answer.strip() != host:
        typer.echo(f"that is not {host}: nothing was removed", err=True)
        raise typer.Abort
