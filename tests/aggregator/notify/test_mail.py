"""A mail as it comes to a server that takes it."""

import email
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from roommood.aggregator.notify.message import Message
from roommood.aggregator.notify.services import services
from tests.needs import missing


class _MailServer(socketserver.ThreadingTCPServer):
    """Takes whatever it is sent, by the words of SMTP that a client needs."""

    daemon_threads = True

    def __init__(self) -> None:
        self.mails: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Conversation)


class _Conversation(socketserver.StreamRequestHandler):
    server: _MailServer

    def handle(self) -> None:
        self._say("220 here")
        for line in self.rfile:
            word = line.split()[0].upper() if line.strip() else b""
            if word == b"DATA":
                self._say("354 go on")
                self._take()
            elif word == b"EHLO":
                self._say("250-here\r\n250 AUTH PLAIN LOGIN")
            else:
                self._say({b"AUTH": "235 come in", b"QUIT": "221 bye"}.get(word, "250 well"))

    def _take(self) -> None:
        lines = list(iter(self.rfile.readline, b".\r\n"))
        self.server.mails.append(b"".join(lines))
        self._say("250 taken")

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


@pytest.fixture
def mail_server() -> Iterator[_MailServer]:
    try:
        import apprise  # noqa: F401
    except ImportError:
        missing("Apprise is not installed: pip install '.[notify]'")
    with _MailServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_mail_has_a_line_for_each_event_and_each_character_as_it_is(
    mail_server: _MailServer, tmp_path: Path
) -> None:
    port = mail_server.server_address[1]
    urls = tmp_path / "notify.urls"
    who = "to=ada@example.org&from=roommood@example.org"
    urls.write_text(f"mailto://me:pw@localhost:{port}?{who}&smtp=127.0.0.1&mode=insecure\n")
    urls.chmod(0o600)
    ((_, send),) = services(urls)
    body = "cam_1 (hall): frozen <b> & *black*\ncam_2 (hall): silent"
    assert send(Message("roommood, cam_1: frozen", body, False, [])) == ""
    (mail,) = map(email.message_from_bytes, mail_server.mails)
    assert mail["Subject"] == "roommood, cam_1: frozen"
    for part in mail.walk():
        text = part.get_payload(decode=True)
        if part.get_content_type() == "text/plain":
            assert isinstance(text, bytes)
            assert text.decode().splitlines() == body.splitlines()
        elif part.get_content_type() == "text/html":
            assert isinstance(text, bytes)
            assert text.decode().count("<br") == 1
            assert "<b>" not in text.decode()
