"""TLS before a server that has none, for tests of what a client asks of a certificate."""

import ssl
from pathlib import Path

from tests.front import Front


class TlsFront(Front):
    """A port of loopback, each of whose connections goes on in plain text."""

    def __init__(
        self, behind: Path | int, certificate: Path, key: Path, of_clients: Path | None = None
    ) -> None:
        """`of_clients` is who must have signed the certificates of clients, who then need one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        if of_clients is not None:
            context.load_verify_locations(of_clients)
            context.verify_mode = ssl.CERT_REQUIRED
        super().__init__(behind, context)
