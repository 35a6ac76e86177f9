"""A machine reached by ssh, for the tests of a file."""

from collections.abc import Iterator

import pytest

from tests.deploy.site.ssh_machine import SshMachine


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshMachine]:
    """Root and `USERS` may come in."""
    with SshMachine(tmp_path_factory.mktemp("ssh")) as machine:
        yield machine
