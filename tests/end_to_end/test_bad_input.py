"""Bad input gets a clear error or a counted refusal; the good goes on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from roommood.shared.protocol.limits import WIRE_VERSION
from tests.end_to_end.fake_camera import FakeCamera
from tests.end_to_end.site import Component, Line, Site, until
from tests.inference_worker.pictures import astronaut, jpeg, plain


@pytest.fixture
def at(site: Site) -> str:
    return site.address()


@pytest.fixture
def worker(site: Site, at: str) -> Component:
    reports = site.address()
    site.aggregator(reports)
    return site.worker(at, reports)


@pytest.fixture(scope="module")
def shared_at(shared_site: Site) -> str:
    return shared_site.address()


@pytest.fixture(scope="module")
def shared_worker(shared_site: Site, shared_at: str) -> Component:
    reports = shared_site.address()
    shared_site.aggregator(reports)
    return shared_site.worker(shared_at, reports)


def of(camera: str, worker: Component, *messages: str) -> list[Line]:
    """What a worker has said of one camera."""
    lines = [line for message in messages for line in worker.lines(message)]
    return [line for line in lines if line["camera"] == camera]


def refusals(camera: str, worker: Component) -> list[str]:
    return [line["why"] for line in of(camera, worker, "frame refused", "refused")]


def claiming(width: int, height: int) -> bytes:
    """A JPEG whose frame marker claims another size."""
    data = bytearray(jpeg(plain(64, 64)))
    marker = data.index(b"\xff\xc0")
    data[marker + 5 : marker + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


GOOD = jpeg(astronaut())
BAD = {
    "not-a-jpeg": b"this is text, not a picture",
    "damaged": GOOD[: len(GOOD) // 2],
    "too-large": claiming(65_535, 65_535),
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_picture_is_refused_under_its_reason_and_the_next_is_analysed(
    shared_worker: Component, shared_at: str, reason: str
) -> None:
    with FakeCamera(shared_at, f"sends-{reason}") as camera:
        camera.wait_for_credit()
        camera.send(BAD[reason])
        camera.wait_for_credit()
        camera.send(GOOD)
        (good,) = until(
            lambda: of(f"sends-{reason}", shared_worker, "analysed"), "the good picture is analysed"
        )
    assert good["seq"] == 1
    assert refusals(f"sends-{reason}", shared_worker) == [reason]


def test_random_bytes_and_other_wire_versions_are_refused_and_the_worker_goes_on(
    worker: Component, at: str
) -> None:
    with FakeCamera(at) as camera:
        camera.send_raw(b"\x00" * 40)
        camera.send_raw(b"RM", b"", b"", b"")
        camera.send_raw(bytes(range(256)), b"x")
        camera.send_raw(b"RM" + bytes((WIRE_VERSION + 1,)) + b"H" + b"\x80")
        camera.wait_for_credit()
        camera.send(GOOD)
        until(lambda: worker.lines("analysed"), "the good picture is analysed")
    refusals = " ".join(line["why"] for line in worker.lines("message refused"))
    assert f"wire version {WIRE_VERSION + 1} received, version {WIRE_VERSION}" in refusals
    assert len(worker.lines("message refused")) == 4


def test_a_frame_nobody_asked_for_is_refused(shared_worker: Component, shared_at: str) -> None:
    def ends() -> list[str]:
        return refusals("fair", shared_worker) + ["analysed"] * len(
            of("fair", shared_worker, "analysed")
        )

    with FakeCamera(shared_at, "rude") as rude, FakeCamera(shared_at, "fair") as fair:
        rude.send(GOOD)
        fair.wait_for_credit()
        fair.send(GOOD)
        fair.send(GOOD)
        fair.send(GOOD)
        until(lambda: len(ends()) == 3, "each ends")
    assert set(ends()) == {"analysed", "unsolicited"}
    assert not of("rude", shared_worker, "analysed")


def test_an_illegal_name_on_the_wire_is_refused(worker: Component, at: str) -> None:
    with FakeCamera(at, room="../kitchen") as camera:
        camera.say_hello()
        until(lambda: worker.lines("message refused"), "the Hello is refused")
    assert "room is not a name" in worker.lines("message refused")[0]["why"]


def test_a_copied_sd_card_is_noticed_and_the_newest_session_wins(
    shared_worker: Component, shared_at: str
) -> None:
    import dataclasses

    with FakeCamera(shared_at, "twin") as old, FakeCamera(shared_at, "twin") as new:
        old.wait_for_credit()
        new.hello = dataclasses.replace(new.hello, session_id="second")
        new.wait_for_credit()
        old.say_hello()
        assert until(lambda: old.credit().refused == "superseded", "the older one is told")
        new.send(GOOD)
        analysed = until(lambda: of("twin", shared_worker, "analysed"), "the newer one is served")
        assert [line["session"] for line in analysed] == ["second"]


def refusal_of(site: Site, module: str, *options: str) -> tuple[int, str]:
    component = site.start(module, *options)
    return component.wait(), component.tail()


@pytest.mark.parametrize(
    ("source", "words"),
    [("nowhere.mp4", "No such file"), ("/dev/video99", "video99"), ("foo:bar", "source")],
)
def test_an_unreadable_source_is_a_clear_error(site: Site, source: str, words: str) -> None:
    code, text = refusal_of(
        site, "roommood.camera_node.cli", "--name", "a", "--room", "b", "--source", source
    )
    assert code == 1
    assert text.startswith("error: ")
    assert words in text
    assert "Traceback" not in text


def test_an_illegal_room_is_a_clear_error(site: Site) -> None:
    code, text = refusal_of(
        site, "roommood.camera_node.cli", "--name", "a", "--room", "Living Room"
    )
    assert code == 2
    assert "'living-room'" in text


def test_an_unknown_setting_names_file_line_and_the_nearest_key(site: Site, tmp_path: Path) -> None:
    settings = tmp_path / "roommood.toml"
    settings.write_text('[camera]\nname = "a"\nroom = "b"\nsauce = "0"\n')
    code, text = refusal_of(site, "roommood.camera_node.cli", "--config", str(settings))
    assert code == 2
    assert f"{settings}:4: unknown key 'sauce'; did you mean 'source'?" in text


@pytest.mark.parametrize("option", ["--detector", "--classifier"])
def test_a_missing_model_is_a_clear_error(site: Site, tmp_path: Path, option: str) -> None:
    missing = str(tmp_path / "no.onnx")
    code, text = refusal_of(site, "roommood.inference_worker.cli", option, missing)
    assert code == 1
    assert missing in text
    assert "Traceback" not in text


def test_a_model_of_the_wrong_shape_is_a_clear_error(site: Site) -> None:
    code, text = refusal_of(site, "roommood.inference_worker.cli", "--detector", site.classifier)
    assert code == 1
    assert site.classifier in text
    assert "Traceback" not in text


def test_an_address_others_can_reach_needs_insecure(
    site: Site, make_site: Callable[..., Site]
) -> None:
    code, text = refusal_of(site, "roommood.aggregator.cli", "--bind", "0.0.0.0:5999")
    assert code == 2
    assert "--insecure" in text
