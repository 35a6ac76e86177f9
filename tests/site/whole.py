"""The whole of a site: a desktop that has a camera too, two Pis, and a broker beside them."""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from roommood.deploy.site.site_file import DASHBOARD_PORT
from tests.ports import free_port
from tests.site.machines import ENDS_WITH_US, Booted, answers
from tests.site.place import Place, until

ROOMS = ("kitchen", "study", "den")
_BROKER_PORT = 18830
# Sending a broker's messages on to everybody: this test's own, on the machines' bridge.
MOSQUITTO = f"listener {_BROKER_PORT} {{here}}\nallow_anonymous true\n"
SITE = """
[site]
camera_metrics = true
page_switches = true
mqtt_switches = true
mqtt = {{ broker = "mqtt://{here}:18830", insecure = true }}

[desktop]
host = "{desk}"
user = "root"
ssh_key = "{key}"
workers = 2

[[camera]]
name = "kitchen-1"
room = "kitchen"
host = "{kitchen}"
user = "pi"
ssh_key = "{key}"
source = "simulated:/srv/portraits"
rate_hz = 10

[[camera]]
name = "desk-1"
room = "study"
host = "{desk}"
user = "root"
ssh_key = "{key}"
source = "simulated:/srv/portraits"
rate_hz = 2

[[camera]]
name = "den-1"
room = "den"
host = "{den}"
user = "root"
ssh_key = "{key}"
source = "simulated:/srv/portraits"
rate_hz = 10

[[room]]
name = "kitchen"
group = "first floor"
views = "apart"
quiet = []
"""


@dataclass
class Whole(Place):
    """Two Pis beside the desktop, and all that the broker was told."""

    kitchen: Booted
    den: Booted
    heard: Path
    broker_host: str

    @property
    def machines(self) -> tuple[Booted, Booted, Booted]:
        return self.desk, self.kitchen, self.den

    def rewrite(self, old: str, new: str) -> None:
        """Changes the site's file."""
        path = self.folder / "site.toml"
        text = path.read_text()
        assert old in text, old
        path.write_text(text.replace(old, new))

    def say(self, topic: str, payload: str) -> None:
        """As Home Assistant would, to the broker."""
        words = ["-h", self.broker_host, "-p", str(_BROKER_PORT), "-t", topic, "-m", payload]
        subprocess.run(["mosquitto_pub", *words], check=True, timeout=30)

    def messages_of(self, start: str) -> dict[str, str]:
        """The newest message of each topic that starts so, where it is not empty."""
        lines = self.heard.read_text().splitlines()
        pairs = (line.partition(" ")[::2] for line in lines if line.startswith(start))
        return {topic: message for topic, message in dict(pairs).items() if message}

    def grows(self, room: str) -> bool:
        """Whether more of a room is counted after some frames' time than before."""
        more = self.flows(room)
        self.desk.run("sleep 3")
        return more()

    @contextlib.contextmanager
    def page(self) -> Iterator[str]:
        """The desktop's page, which serves itself alone, brought here by ssh; gives its address."""
        port = free_port()
        with self.desk.forwarding(port, DASHBOARD_PORT):
            yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def broker(folder: Path, here: str) -> Iterator[Path]:
    """A broker beside the machines; gives the file to which all that it is told goes."""
    (folder / "mosquitto.conf").write_text(MOSQUITTO.format(here=here))
    heard = folder / "heard"
    with heard.open("wb") as file:
        serving = subprocess.Popen(
            [*ENDS_WITH_US, "mosquitto", "-c", str(folder / "mosquitto.conf")]
        )
        until(lambda: answers(here, _BROKER_PORT), "the broker listens")
        listening = subprocess.Popen(
            [
                "mosquitto_sub", "-h", here, "-p", str(_BROKER_PORT), "-F", "%t %p",
                "-t", "roommood/#", "-t", "homeassistant/switch/#",
            ],
            stdout=file,
        )  # fmt: skip
    try:
        yield heard
    finally:
        for process in (listening, serving):
            process.terminate()
            process.wait(10)
