"""A real Home Assistant of one's own, on loopback, set up as its user would: by its own API."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any, Final, Self

from tests.end_to_end.site import until
from tests.mosquitto import Mosquitto
from tests.needs import missing
from tests.ports import free_port

BUILD: Final = Path(__file__).parents[2] / "build" / "home-assistant"
# The last that runs on Python 3.13 as Debian 13 has it, and what it would fetch at its first start.
_PACKAGES: Final = ("homeassistant==2025.4.*", "paho-mqtt==2.1.0", "home-assistant-frontend")
_PATIENCE_S: Final = 300.0
_SETTINGS: Final = """
homeassistant:
http: {{server_host: 127.0.0.1, server_port: {port}}}
api:
config:
recorder: {{commit_interval: 1}}
"""

_ROWS: Final = (
    "SELECT m.entity_id, COUNT(*) FROM states JOIN states_meta m USING (metadata_id) "
    "WHERE last_updated_ts >= ? GROUP BY m.entity_id"
)


def programs() -> Path:
    """The environment that it runs in, made once: about 5 minutes and 1 GB."""
    python = os.environ.get("HOME_PYTHON") or "python3.13"
    if not (BUILD / "made").exists():
        if not _is_python_313(python):
            missing(f"{python} is no Python 3.13: make home-assistant HOME_PYTHON=PATH")
        shutil.rmtree(BUILD, ignore_errors=True)
        subprocess.run([python, "-m", "venv", str(BUILD)], check=True, timeout=120)
        pip = [str(BUILD / "bin/python"), "-m", "pip", "install", "--quiet", *_PACKAGES]
        subprocess.run(pip, check=True, timeout=1_800)
        (BUILD / "made").touch()
    return BUILD / "bin"


def _is_python_313(python: str) -> bool:
    code = "import sys; print(sys.version_info[:2] == (3, 13))"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, timeout=60, check=False)
    except OSError:
        return False
    return done.stdout.strip() == b"True"


class HomeAssistant:
    """One process with its user, its MQTT integration and its recorder."""

    def __init__(self, folder: Path, broker: Mosquitto) -> None:
        self._bin, self._folder, self._broker = programs(), folder, broker
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._token = ""
        folder.mkdir()
        (folder / "configuration.yaml").write_text(_SETTINGS.format(port=self._port))

    def __enter__(self) -> Self:
        self.start()
        self._make_user()
        self._add_mqtt()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        with (self._folder / "stdout.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._bin / "hass"), "--config", str(self._folder)],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={**os.environ, "PATH": f"{self._bin}:{os.environ['PATH']}"},
            )  # fmt: skip
        until(self._answers, "Home Assistant answers", _PATIENCE_S)
        if self._token:
            until(lambda: self.get("/api/config")["state"] == "RUNNING", "it runs", _PATIENCE_S)

    def stop(self) -> None:
        """As its user stops it; it writes down what it knows."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(120)
        finally:
            process.kill()

    def state(self, entity: str) -> str:
        """What an entity shows; "" where there is none."""
        return str((self.get(f"/api/states/{entity}") or {}).get("state", ""))

    def states(self, *entities: str) -> list[str]:
        return [self.state(entity) for entity in entities]

    def call(self, domain: str, service: str, entity: str) -> None:
        """As its user does by a tap: `switch`, `turn_off` and the switch's entity."""
        self._post(f"/api/services/{domain}/{service}", {"entity_id": entity})

    def entities(self) -> set[str]:
        """All, those included that it has kept of an earlier run and that nobody makes any more."""
        return {state["entity_id"] for state in self.get("/api/states")}

    def ask(self, template: str) -> str:
        """What a template gives, which may ask the registries of devices, entities and areas."""
        return self._post("/api/template", {"template": template}).decode()

    def rows_since(self, unix_s: float) -> Counter[str]:
        """How many states of each entity since then the recorder keeps, once written down."""
        file = self._folder / "home-assistant_v2.db"
        with contextlib.closing(
            sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)
        ) as database:
            return Counter(dict(database.execute(_ROWS, (unix_s,))))

    def get(self, path: str) -> Any:
        """JSON of its API; None for what it does not have."""
        try:
            return json.loads(self._ask(urllib.request.Request(self._url + path)))
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def _answers(self) -> bool:
        assert self._process, "started"
        assert self._process.poll() is None, (self._folder / "stdout.log").read_text()[-3000:]
        try:
            urllib.request.urlopen(f"{self._url}/api/onboarding", timeout=5).close()
        except urllib.error.HTTPError as error:
            return error.code != 404
        except OSError:
            return False
        return True

    def _make_user(self) -> None:
        user = {"name": "Ada", "username": "ada", "password": "a password of the tests"}
        asked = {"client_id": f"{self._url}/", "language": "en", **user}
        code = json.loads(self._post("/api/onboarding/users", asked))["auth_code"]
        form = {"grant_type": "authorization_code", "code": code, "client_id": asked["client_id"]}
        request = urllib.request.Request(
            f"{self._url}/auth/token", urllib.parse.urlencode(form).encode()
        )
        self._token = json.loads(self._ask(request))["access_token"]

    def _add_mqtt(self) -> None:
        """Its first use installs nothing: all of it is there."""
        flow = json.loads(self._post("/api/config/config_entries/flow", {"handler": "mqtt"}))
        where = {"broker": "127.0.0.1", "port": self._broker.port}
        path = f"/api/config/config_entries/flow/{flow['flow_id']}"
        assert json.loads(self._post(path, where))["type"] == "create_entry"

    def _post(self, path: str, message: Any) -> bytes:
        request = urllib.request.Request(self._url + path, json.dumps(message).encode())
        request.add_header("Content-Type", "application/json")
        return self._ask(request)

    def _ask(self, request: urllib.request.Request) -> bytes:
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())
