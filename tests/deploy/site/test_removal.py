"""What one part of a site must not do to another, and what is asked before data goes."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from roommood.deploy.cli import app
from roommood.deploy.site import rollout
from roommood.deploy.site.deploy import Deployment
from roommood.deploy.site.machine import Machine, MachineError
from roommood.deploy.site.rollout import refuse_another_part
from roommood.deploy.site.site_file import Reached, read_site

THIS = Reached(host="local", user="root")
# Nobody listens there: whatever is asked of a machine fails at once.
SITE = """
[desktop]
host = "127.0.0.1"
ssh_port = 1

[[camera]]
name = "den-1"
room = "den"
host = "192.0.2.7"
user = "root"
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this machine's release lies."""
    monkeypatch.setattr(rollout, "ROOT", tmp_path / "opt")
    (tmp_path / "opt" / "current").mkdir(parents=True)
    return tmp_path / "opt"


def runs(root: Path, *units: str) -> None:
    (root / "current" / "units.run").write_text("".join(f"{unit}\n" for unit in units))


@pytest.mark.parametrize(
    ("units", "refused", "taken"),
    [
        (("roommood-redis.service", "aggregator.service"), "aggregator", "camera"),
        (("camera-node.service",), "camera", "aggregator"),
        (("roommood-camera.service",), "camera", "aggregator"),
    ],
)
def test_a_machine_that_is_the_other_part_is_refused(
    root: Path, units: tuple[str, ...], refused: str, taken: str
) -> None:
    runs(root, *units)
    with Machine(THIS) as machine:
        refuse_another_part(machine, taken)
        with pytest.raises(MachineError, match=f"runs {units[-1]}: it is another part"):
            refuse_another_part(machine, refused)


def test_a_machine_without_a_release_is_any_part(root: Path) -> None:
    with Machine(THIS) as machine:
        refuse_another_part(machine, "camera")


def test_a_camera_on_the_desktop_under_another_name_is_refused_at_deploying(
    root: Path, tmp_path: Path
) -> None:
    runs(root, "roommood-redis.service", "aggregator.service")
    path = tmp_path / "site.toml"
    path.write_text(SITE.replace("192.0.2.7", "local").replace("127.0.0.1", "desk.example"))
    said: list[str] = []
    assert Deployment(read_site(path), said.append, dry_run=True).run(("den-1",)) == 1
    assert "den-1: FAILED: local runs aggregator.service" in said[0]


def ask(folder: Path, *options: str, typed: str = "") -> tuple[int, str]:
    (folder / "site.toml").write_text(SITE)
    result = CliRunner().invoke(
        app, ["deploy", str(folder / "site.toml"), *options], input=typed, env={"COLUMNS": "200"}
    )
    return result.exit_code, result.output


@pytest.mark.parametrize("typed", ["y\n", "desktop\n", ""])
def test_data_is_deleted_only_once_the_desktops_host_was_typed(tmp_path: Path, typed: str) -> None:
    options = ("--remove", "--purge", "--yes", "--only", "desktop")
    code, said = ask(tmp_path, *options, typed=typed)
    assert (code, "cannot reach" in said) == (1, False)

    code, said = ask(tmp_path, *options, typed="127.0.0.1\n")
    assert (code, "cannot reach" in said) == (1, True), "the control: it goes on to the machine"


def test_without_purge_a_plain_yes_is_enough(tmp_path: Path) -> None:
    assert "cannot reach" in ask(tmp_path, "--remove", "--only", "desktop", typed="y\n")[1]
    assert "cannot reach" not in ask(tmp_path, "--remove", "--only", "desktop", typed="n\n")[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--purge",), "only with --remove"),
        (("--remove", "--purge", "--only", "den-1"), "add --only desktop"),
        (("--remove", "--dry-run"), "not with --dry-run"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    code, output = ask(tmp_path, *options)
    assert code == 2
    assert said in output
