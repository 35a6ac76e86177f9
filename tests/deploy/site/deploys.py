"""`roommood deploy` in this process: its imports and the wheel of the clone are had once."""

from pathlib import Path

from typer.testing import CliRunner

from roommood.deploy.cli import app


def deploy(folder: Path, text: str, *options: str) -> str:
    """What the command prints of the site of this text, for a user whose home the folder is.

    What it cannot do is raised.
    """
    site = folder / "site.toml"
    site.write_text(text)
    words = ["deploy", str(site), *options]
    return CliRunner().invoke(app, words, env={"HOME": str(folder)}, catch_exceptions=False).output
