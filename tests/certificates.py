"""Certificates for tests of TLS, made with openssl; without it the test skips."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.needs import missing
from tests.ports import free_port
from tests.redis_server import server_program


def make_certificates(folder: Path, names: str, *, between: bool = False) -> Path:
    """ca.pem signs server.crt for `names` ("DNS:localhost"); other.pem signs nothing.

    With `between` it signs between.pem, and that server.crt.
    """
    for name in ("ca", "other"):
        openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                 "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
                 "-addext", "keyUsage=critical,keyCertSign",  # Python 3.13 asks for it
                 "-out", f"{name}.pem")  # fmt: skip
    openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")  # fmt: skip
    (folder / "names").write_text(f"subjectAltName={names}\n")
    by = "ca"
    if between:
        by = "between"
        (folder / "may-sign").write_text(
            "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n"
        )
        openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", "/CN=between", "-keyout", "between.key",
                "-out", "between.csr")  # fmt: skip
        openssl(folder, "x509", "-req", "-in", "between.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", "2", "-extfile", "may-sign",
                "-out", "between.pem")  # fmt: skip
    openssl(folder, "x509", "-req", "-in", "server.csr", "-CA", f"{by}.pem", "-CAkey", f"{by}.key",
             "-CAcreateserial", "-days", "2", "-extfile", "names",
             "-out", "server.crt")  # fmt: skip
    return folder


def self_signed(folder: Path, name: str, days: int = 2) -> tuple[Path, Path]:
    """A new certificate for localhost that signs itself, and its key. -1 days: expired."""
    (folder / "localhost").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
            "-keyout", f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-signkey", f"{name}.key",
            "-days", str(days), "-extfile", "localhost", "-out", f"{name}.crt")  # fmt: skip
    return folder / f"{name}.crt", folder / f"{name}.key"


def openssl(folder: Path, *arguments: str) -> None:
    """One command of openssl's, in this folder."""
    try:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        missing("no openssl to make certificates with: install the package openssl")


def server_with_tls(certificates: Path) -> str:
    """A Redis or Valkey that was built with TLS, as a bundled one may not be; else it skips."""
    for program in (server_program(), shutil.which("redis-server"), shutil.which("valkey-server")):
        if program and _speaks_tls(program, certificates):
            return program
    pytest.skip("no redis-server with TLS on this machine: install the package redis-server")


def _speaks_tls(program: str, certificates: Path) -> bool:
    files = {"cert": "server.crt", "key": "server.key", "ca-cert": "ca.pem"}
    command = [program, "--port", "0", "--tls-port", str(free_port())]
    for name, file in files.items():
        command += [f"--tls-{name}-file", str(certificates / file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = (line for line in process.stdout if "Ready to accept connections" in line)
        speaks = next(ready, None) is not None
        process.kill()
    return speaks
