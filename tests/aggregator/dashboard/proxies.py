"""Real proxies in front of the page, from the settings that docs/dashboard.md prints."""

import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from tests.certificates import make_certificates
from tests.end_to_end.site import until

USER, PASSWORD = "me", "let me in"
NAME: Final = "rooms.example"
_DOCS: Final = Path(__file__).parents[3] / "docs" / "dashboard.md"
_APACHE: Final = Path("/usr/lib/apache2/modules")
_MODULES: Final = (
    "mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "headers",
    "proxy", "proxy_http", "socache_shmcb", "ssl",
)  # fmt: skip
_TEMP: Final = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

# Folder, port at which it listens, port of the page: the command that runs it in the foreground.
Proxy = Callable[[Path, int, int], list[str]]


@contextmanager
def running(proxy: Proxy, port: int, page_port: int) -> Iterator[None]:
    """Skips where that program is not installed."""
    with TemporaryDirectory() as name:
        # The workers of a proxy of root's become somebody else, and read the passwords still.
        Path(name).chmod(0o755)
        make_certificates(Path(name), f"DNS:{NAME}")
        with _process(proxy(Path(name), port, page_port), port, Path(name)):
            yield


@contextmanager
def _process(command: list[str], port: int, folder: Path) -> Iterator[None]:
    log = folder / "proxy.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=folder)

    def listens() -> bool:
        assert process.poll() is None, log.read_text()
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(listens, f"{command[0]} listens")
        yield
    finally:
        process.terminate()
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:  # Apache waits for what it still answers
            process.kill()
            process.wait(20.0)


def nginx(folder: Path, port: int, page_port: int) -> list[str]:
    program = _installed("nginx")
    htpasswd = f"{USER}:{_hash('-apr1')}\n"
    (folder / "htpasswd").write_text(htpasswd)
    printed = _printed("nginx", folder, page_port, "/etc/nginx")
    server = printed.replace("listen 443", f"listen 127.0.0.1:{port}")
    temp = " ".join(f"{name}_temp_path {folder}/{name};" for name in _TEMP)
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temp}\n{server}}}\n"
    )
    return [program, "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]


def nginx_below(path: str, *, passes_web_sockets: bool = True) -> Proxy:
    """With the page below a path, as the docs say it; or as one that never heard of web sockets."""

    def proxy(folder: Path, port: int, page_port: int) -> list[str]:
        command, file = nginx(folder, port, page_port), folder / "nginx.conf"
        text = file.read_text().replace("location / {", f"location {path} {{")
        text = text.replace(f"127.0.0.1:{page_port};", f"127.0.0.1:{page_port}/;")
        if not passes_web_sockets:
            text = re.sub(
                r" *proxy_(http_version 1\.1|set_header (Upgrade|Connection).*);", "", text
            )
        file.write_text(text)
        return command

    return proxy


def caddy(folder: Path, port: int, page_port: int) -> list[str]:
    program = _installed("caddy")
    command = [program, "hash-password", "--plaintext", PASSWORD]
    made = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    printed = _printed("caddy", folder, page_port, "/etc/caddy").replace("HASH", made)
    # As many have it, who do not have this page alone there.
    site = printed.replace(f"{NAME} {{", f"https://{NAME}:{port} {{\n bind 127.0.0.1\n encode gzip")
    (folder / "Caddyfile").write_text(
        "{\n admin off\n local_certs\n skip_install_trust\n auto_https disable_redirects\n"
        f" storage file_system {folder}/kept\n}}\n{site}"
    )
    config = ["--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    return [program, "run", *config]


def apache(folder: Path, port: int, page_port: int) -> list[str]:
    program = _installed("apache2")
    (folder / "htpasswd").write_text(f"{USER}:{_hash('-apr1')}\n")
    printed = _printed("apache", folder, page_port, "/etc/apache2")
    loads = "".join(f"LoadModule {name}_module {_APACHE}/mod_{name}.so\n" for name in _MODULES)
    (folder / "apache.conf").write_text(
        f"ServerRoot {folder}\nPidFile {folder}/pid\nErrorLog {folder}/error.log\n"
        f"ServerName {NAME}\nListen 127.0.0.1:{port}\n{loads}"
        "User www-data\nGroup www-data\n" + printed.replace("*:443", f"127.0.0.1:{port}")
    )
    return [program, "-X", "-f", str(folder / "apache.conf")]


def haproxy(folder: Path, port: int, page_port: int) -> list[str]:
    program = _installed("haproxy")
    both = (folder / "server.crt").read_text() + (folder / "server.key").read_text()
    (folder / "rooms.pem").write_text(both)
    printed = _printed("haproxy", folder, page_port, "/etc/haproxy")
    printed = printed.replace("HASH", _hash("-5")).replace("bind :443", f"bind 127.0.0.1:{port}")
    (folder / "haproxy.cfg").write_text(printed)
    return [program, "-db", "-f", str(folder / "haproxy.cfg")]


ALL: Final = (nginx, caddy, apache, haproxy)


def _printed(language: str, folder: Path, page_port: int, etc: str) -> str:
    """As in the docs, but for ports and the places of files."""
    snippet = re.search(rf"```{language}\n(.*?)```", _DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert snippet is not None, f"no {language} in {_DOCS}"
    return (
        snippet[1]
        .replace("127.0.0.1:5780", f"127.0.0.1:{page_port}")
        .replace(f"{etc}/rooms.crt", f"{folder}/server.crt")
        .replace(f"{etc}/rooms.key", f"{folder}/server.key")
        .replace(f"{etc}/rooms.", f"{folder}/" + ("rooms." if language == "haproxy" else ""))
    )


def _installed(program: str) -> str:
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


def _hash(kind: str) -> str:
    command = ["openssl", "passwd", kind, PASSWORD]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
