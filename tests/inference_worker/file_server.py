"""An HTTP server for one file, in this process, that can misbehave like the internet."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """What is served and how; `asked` has the Range header of each request, which waits until it
    `may_answer`."""

    content: bytes
    status: int | None = None
    resumes: bool = True
    breaks_after: int | None = None
    content_range: str | None = None
    url: str = ""
    may_answer: threading.Event = field(default_factory=threading.Event)
    asked: list[str | None] = field(default_factory=list)


@contextmanager
def serving(content: bytes) -> Iterator[FileServer]:
    """Serves on loopback until the block ends."""
    files = FileServer(content)
    files.may_answer.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(files))
    files.url = f"http://127.0.0.1:{server.server_address[1]}/model.onnx"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(files: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wish = self.headers.get("Range")
            files.asked.append(wish)
            files.may_answer.wait(60)
            if files.status is not None:
                self.send_error(files.status)
                return
            start = 0
            if wish and files.resumes:
                start = int(wish.removeprefix("bytes=").removesuffix("-"))
            self._answer(start, bool(wish and files.resumes))

        def _answer(self, start: int, partial: bool) -> None:
            body, whole = files.content[start:], len(files.content)
            self.send_response(206 if partial else 200)
            self.send_header("Content-Length", str(len(body)))
            if partial:
                due = f"bytes {start}-{whole - 1}/{whole}"
                self.send_header("Content-Range", files.content_range or due)
            self.end_headers()
            self.wfile.write(body[: files.breaks_after])
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Keeps the test's output clean."""

    return Handler
