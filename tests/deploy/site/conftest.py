"""A machine reached by ssh, for the tests of a file."""

from collections.abc import Iterator

import pytest

from tests.deploy.site.ssh_machine import SshMachine


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshMachine]:
    """Root and `USERS` may come in, from a home without anything that ssh has noted before."""
    with (
        pytest.MonkeyPatch.context() as patch,
        SshMachine(tmp_path_factory.mktemp("ssh")) as machine,
    ):
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield machine
