"""A private MQTT broker for tests: real, on loopback, with a folder of its own."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from tests.certificates import self_signed
from tests.end_to_end.site import until
from tests.needs import missing
from tests.ports import free_port

USER, PASSWORD = "roommood", "a secret of the tests"


class Mosquitto:
    """One mosquitto process that keeps nothing over a restart.

    `secured` asks for TLS, with the certificate in `ca_file`, and for USER and PASSWORD; `settings`
    are further lines of its file.
    """

    def __init__(self, *settings: str, secured: bool = False) -> None:
        self._program = _program()
        self.folder = Path(tempfile.mkdtemp(prefix="roommood-mqtt-"))
        self.port = free_port()
        self.secured = secured
        self._process: subprocess.Popen[bytes] | None = None
        lines = [f"listener {self.port} 127.0.0.1", "persistence false"]
        lines += self._secure() if secured else ["allow_anonymous true"]
        if os.geteuid() == 0:
            lines.append("user root")
        lines += settings
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def __enter__(self) -> "Mosquitto":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self) -> str:
        return f"{'mqtts' if self.secured else 'mqtt'}://localhost:{self.port}"

    @property
    def ca_file(self) -> Path:
        return self.folder / "broker.crt"

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            command = [self._program, "-c", str(self.folder / "mosquitto.conf")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._answers, f"mosquitto answers: {(self.folder / 'log').read_text()}")

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)

    def certificate(self, name: str, days: int = 2) -> tuple[Path, Path]:
        """A new certificate for localhost that signs itself, and its key."""
        return self_signed(self.folder, name, days)

    def _secure(self) -> list[str]:
        certificate, key = self.certificate("broker")
        passwords = self.folder / "passwords"
        tool = ["mosquitto_passwd", "-c", "-b", str(passwords), USER, PASSWORD]
        subprocess.run(tool, check=True, capture_output=True, timeout=60)
        return [
            "allow_anonymous false",
            f"password_file {passwords}",
            f"certfile {certificate}",
            f"keyfile {key}",
        ]

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _program() -> str:
    folders = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    program = shutil.which("mosquitto", path=folders)
    if program is None:
        missing("no mosquitto: install the package mosquitto")
    return program
