"""Why nobody can talk to a broker, in words that say what to do. One more try tells it."""

import socket
import ssl
from datetime import UTC, datetime
from typing import Final

_PROBE_S: Final = 3.0
# OpenSSL's numbers for a certificate that is for another name or address, and for its time.
_OTHER_NAME: Final = (62, 64)
_OTHER_TIME: Final = (9, 10)


def why_not_reached(host: str, port: int, tls: ssl.SSLContext | None) -> str:
    """Why nobody can talk to a broker there; blocks for a few seconds at most."""
    try:
        with socket.create_connection((host, port), _PROBE_S) as plain:
            return _why_no_tls(plain, host, port, tls) if tls else "no answer"
    except TimeoutError:
        return f"no answer within {_PROBE_S:g} s"
    except OSError as error:
        return error.strerror or str(error)


def _why_no_tls(plain: socket.socket, host: str, port: int, tls: ssl.SSLContext) -> str:
    try:
        tls.wrap_socket(plain, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return _why_not_trusted(error)
    except (ssl.SSLError, ConnectionError) as error:
        return f"no TLS at port {port}: {error.strerror or error}"
    return "no answer"


def _why_not_trusted(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _OTHER_NAME:
        return f"its certificate is for another name: {error.verify_message}"
    if error.verify_code in _OTHER_TIME:
        now = datetime.now(UTC).isoformat(timespec="minutes")
        return f"its certificate does not hold now: {error.verify_message}; here it is {now}"
    return (
        f"its certificate is not trusted: {error.verify_message}; name the authority that "
        "signed it with --ca-file"
    )
