"""What a camera's refusal means, one sentence for each, in HTTP as in RTSP."""

import http.client
import socket
import ssl
from typing import Final

_OF_STATUS: Final = {
    301: "sends us to another address (301): give that one",
    302: "sends us to another address (302): give that one",
    400: "does not understand the request (400): is the address right?",
    403: "forbids it to this user (403): give it the right to watch, in the camera's settings",
    404: "has nothing at this address (404): look up the stream's path in the camera's manual",
    405: "does not let its stream be read this way (405): is the path right?",
    407: "is reached through a proxy that wants a password (407): give the camera's own address",
    429: "is asked too often (429): lower rate_hz, or close other viewers",
    453: "has no bandwidth left (453): close other viewers, or use the sub-stream",
    454: "has ended the session (454)",
    455: "does not start to send (455): restart the camera, or close other viewers of it",
    461: "sends nothing over TCP (461): switch that on in the camera, or let UDP from it through",
    500: "has failed inside (500): restart the camera, or update it",
    503: "is busy (503): close other viewers of it, or use another stream of it",
}
NO_USER: Final = (
    "wants user and password (401): write USER@ before the host, and put the password into a "
    "file: --source-password-file"
)
WRONG_USER: Final = "refuses this user and password (401): check both, also for a locked account"
WEB_PAGE: Final = (
    "answers with a web page, not with pictures: it may be its login; look up the address of the "
    "stream or of a snapshot in the camera's manual"
)
ENCRYPTED: Final = "if it is encrypted there, use https:// or rtsps://"
_NO_COMMON_TLS: Final = frozenset(
    {
        "TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "DH_KEY_TOO_SMALL", "WRONG_SIGNATURE_TYPE", "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
        "WRONG_SSL_VERSION", "TLSV1_ALERT_INSUFFICIENT_SECURITY",
    }
)  # fmt: skip
AUDIO_ONLY: Final = "sends sound only, no picture: use the address of its video stream"


def of_status(status: int, has_user: bool) -> str:
    """What to tell of a status that is no success, and what to do."""
    if status == 401:
        return WRONG_USER if has_user else NO_USER
    if status >= 500 and status not in _OF_STATUS:
        return f"has failed inside ({status}): restart the camera, or update it"
    return _OF_STATUS.get(status, f"refuses with status {status}: is the address right?")


def elsewhere(place: str) -> str:
    """Of a redirect to another machine that wants to know who asks."""
    return (
        f"redirects to {place}, which wants user and password (401), and yours go to the camera's "
        "own address only: give the address that it leads to"
    )


def of_error(error: BaseException, timeout_s: float) -> str:
    """What to tell where no answer came at all."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"shows a certificate that is not trusted ({cause.verify_message}): if it is the "
                "camera's own, give --source-any-certificate"
            )
        if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
            return "answers, but not encrypted: use http:// for https://, rtsp:// for rtsps://"
        if isinstance(cause, ssl.SSLError) and cause.reason in _NO_COMMON_TLS:
            return (
                f"speaks no encryption that is safe ({cause.reason}): update its firmware, or use "
                "http:// or rtsp:// in a network that you trust"
            )
        if isinstance(cause, socket.gaierror):
            return "has a name that is not found: check it, or use the camera's IP address"
        if isinstance(cause, ConnectionRefusedError):
            return "refuses the connection: is the port right, and the service switched on there?"
        if isinstance(cause, ConnectionResetError | BrokenPipeError):
            return f"ends the connection instead of an answer: {ENCRYPTED}"
        if isinstance(cause, http.client.BadStatusLine):
            began = str(cause)[:30].strip()
            return f"answers, but not in HTTP ({began!r}): is the port right, or is it rtsp://?"
        if isinstance(cause, TimeoutError):
            return f"does not answer within {timeout_s:g} s: is it on, and reached from here?"
        if isinstance(cause, OSError) and cause.errno in (101, 113):
            return "is not reached from this machine: is it on, and in this network?"
        cause = cause.__cause__ or cause.__context__
    return f"does not answer as a camera does ({type(error).__name__}: {error})"
