"""Downloads against a server in this process; no test asks the internet."""

import hashlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from roommood.inference_worker.models.download import Download, fetch
from roommood.shared.errors import ModelError
from tests.end_to_end.site import until
from tests.inference_worker.file_server import FileServer, serving

CONTENT = bytes(range(256)) * 2000


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(CONTENT) as files:
        yield files


@pytest.fixture
def download(server: FileServer, tmp_path: Path) -> Download:
    digest = hashlib.sha256(CONTENT).hexdigest()
    return Download(server.url, len(CONTENT), digest, tmp_path / "cache" / "m.onnx")


def unwatched(done: int, total: int) -> None:
    pass


def test_a_file_comes_whole_and_leaves_no_part(download: Download) -> None:
    seen: list[tuple[int, int]] = []
    fetch(download, lambda done, total: seen.append((done, total)))
    assert download.target.read_bytes() == CONTENT
    assert list(download.target.parent.iterdir()) == [download.target]
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_what_broke_off_goes_on_where_it_stopped(server: FileServer, download: Download) -> None:
    server.breaks_after = 100_000
    with pytest.raises(
        ModelError, match=r"closed after 100000 of 512000 bytes \(100000 of .* kept"
    ):
        fetch(download, unwatched)
    assert not download.target.exists()
    server.breaks_after = None
    fetch(download, unwatched)
    assert download.target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"]


def test_a_server_that_cannot_resume_sends_all_again(
    server: FileServer, download: Download
) -> None:
    download.part.parent.mkdir()
    download.part.write_bytes(b"old " * 1000)
    server.resumes = False
    fetch(download, unwatched)
    assert download.target.read_bytes() == CONTENT


def test_a_part_that_is_whole_is_not_fetched_again(server: FileServer, download: Download) -> None:
    download.part.parent.mkdir()
    download.part.write_bytes(CONTENT)
    fetch(download, unwatched)
    assert download.target.read_bytes() == CONTENT
    assert server.asked == []


def test_other_bytes_than_were_pinned_never_arrive(server: FileServer, download: Download) -> None:
    server.content = b"\1" + CONTENT[1:]
    with pytest.raises(ModelError, match=r"the SHA-256 of what came is [0-9a-f]{64}, .* is due"):
        fetch(download, unwatched)
    assert not download.target.exists()
    assert not download.part.exists()


def test_an_older_file_stays_until_the_new_one_is_right(
    server: FileServer, download: Download
) -> None:
    download.target.parent.mkdir()
    download.target.write_bytes(b"older")
    server.content = CONTENT[::-1]
    with pytest.raises(ModelError, match="SHA-256"):
        fetch(download, unwatched)
    assert download.target.read_bytes() == b"older"


@pytest.mark.parametrize("content", [CONTENT + b"more", CONTENT[:131]])
def test_a_file_of_another_size_is_refused_before_it_comes(
    server: FileServer, download: Download, content: bytes
) -> None:
    """As a Git LFS pointer or a proxy's login page is."""
    server.content = content
    with pytest.raises(ModelError, match=rf"it offers {len(content)} bytes, 512000 are due"):
        fetch(download, unwatched)
    assert not download.part.exists()


def test_an_answer_from_elsewhere_in_the_file_is_refused(
    server: FileServer, download: Download
) -> None:
    download.part.parent.mkdir()
    download.part.write_bytes(CONTENT[:1000])
    server.content_range = "bytes 0-511999/512000"
    with pytest.raises(ModelError, match="asked to go on from byte 1000"):
        fetch(download, unwatched)
    assert not download.part.exists()


def test_a_refusal_is_told_with_its_code(server: FileServer, download: Download) -> None:
    server.status = 404
    with pytest.raises(ModelError, match=r"the server answers 404 Not Found: .* give its path"):
        fetch(download, unwatched)


def test_a_range_that_the_server_lacks_starts_anew(server: FileServer, download: Download) -> None:
    download.part.parent.mkdir()
    download.part.write_bytes(b"x")
    server.status = 416
    with pytest.raises(ModelError, match="cannot resume: pull again"):
        fetch(download, unwatched)
    assert not download.part.exists()


def test_offline_says_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    url = f"http://127.0.0.1:{port}/m.onnx"
    with pytest.raises(ModelError, match=rf"127.0.0.1:{port} cannot be reached .* pull again when"):
        fetch(Download(url, 5, "0" * 64, tmp_path / "m.onnx"), unwatched)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    download = Download("http://127.0.0.1/", 5, "0" * 64, tmp_path / "file" / "m.onnx")
    with pytest.raises(ModelError, match=r"m.onnx.part: cannot be written"):
        fetch(download, unwatched)


def test_of_two_that_fetch_at_once_one_does_and_both_have_it(
    server: FileServer, download: Download
) -> None:
    """Both wrote into one part, from two connections."""
    server.may_answer.clear()
    with ThreadPoolExecutor() as pool:
        both = [pool.submit(fetch, download, unwatched) for _ in range(2)]
        until(lambda: server.asked, "one has asked")
        wait(both, timeout=0.3)
        server.may_answer.set()
        for each in both:
            each.result(60)
    assert server.asked == [None]
    assert download.target.read_bytes() == CONTENT


def test_who_waits_for_another_pull_says_so(
    server: FileServer, download: Download, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = download.target.parent
    folder.mkdir()
    hold = f"import fcntl, os; fcntl.flock(os.open({str(folder)!r}, os.O_RDONLY), fcntl.LOCK_EX)"
    command = [sys.executable, "-c", f"{hold}; print('held', flush=True); input()"]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other,
        ThreadPoolExecutor() as pool,
    ):
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"held\n"
        ours = pool.submit(fetch, download, unwatched)
        output = until(lambda: capfd.readouterr().err, "it is told")
        whom = f" (process {other.pid})" if Path("/proc/locks").exists() else ""
        assert output == f"note: waits for another pull into {folder}{whom}\n"
        other.stdin.close()
        ours.result(60)
    assert download.target.read_bytes() == CONTENT
