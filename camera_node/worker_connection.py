"""A camera's connection to one worker, and the credit it holds."""

from roommood.camera_node.window import CreditWindow
from roommood.shared.transport.client import ClientConnection, Dialer


class WorkerConnection(ClientConnection):
    """One socket to one worker address; `number` tells it from the camera's others."""

    def __init__(
        self, dialer: Dialer, address: str, number: int, now_ms: float, *, learned: bool
    ) -> None:
        super().__init__(dialer, address, now_ms, learned=learned)
        self.number = number
        self.window = CreditWindow(now_ms)
        self.hello_due_ms = 0.0
        self.sent_ms = 0.0
        self.refused = ""
        self.paused = False
