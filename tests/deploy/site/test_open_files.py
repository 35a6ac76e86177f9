"""Settings, units and scripts reach a machine as they are, and once."""

from roommood.deploy.site.machine import Machine
from roommood.deploy.site.open_files import OpenFile, put_files
from tests.deploy.site.ssh_machine import SshMachine

FILES = (
    OpenFile("/opt/some/where/a.toml", "source = 'ü 😀'\n"),
    OpenFile("/opt/some/run.sh", "#!/bin/sh\n", mode=0o755),
)


def test_files_are_put_once_with_their_rights(there: SshMachine) -> None:
    paths = [file.path for file in FILES]
    with Machine(there.reached("pi")) as machine:
        assert put_files(machine, FILES, dry_run=True) == paths
        assert not machine.attempt("ls /opt/some")[0]
        assert put_files(machine, FILES) == paths
        assert put_files(machine, FILES) == []
        there.run("chmod", "666", paths[0])
        assert put_files(machine, FILES) == paths[:1]
    assert there.run("cat", paths[0], user="nobody") == FILES[0].text
    output = there.run("stat", "-c", "%a %U", *paths, "/opt/some/where")
    assert output.split() == ["644", "root", "755", "root", "755", "root"]


def test_a_script_that_runs_is_replaced_and_not_written_over(there: SshMachine) -> None:
    there.run("mkdir", "-p", "/opt/some")
    there.run("sh", "-c", "echo old > /opt/some/run.sh; ln -f /opt/some/run.sh /opt/some/opened")
    with Machine(there.reached("root")) as machine:
        put_files(machine, FILES)
    assert there.run("cat", "/opt/some/opened") == "old\n"
