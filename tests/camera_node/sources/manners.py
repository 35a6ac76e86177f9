"""Every manner of camera that the tests try: docs/sources.md is written from it.

What a test is parametrized with stands here once, with the words of the page as its key.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.camera_node.sources.network.http_cameras import JPEGS, PARTS

# What an HTTP camera answers, and how the sentence that is told begins.
HTTP_REFUSALS: Final = {
    401: "wants user and password",
    403: "forbids it",
    404: "has nothing at this address",
    503: "is busy",
    418: "refuses with status 418",
}
RTSP_REFUSALS: Final = {
    403: "forbids it to this user",
    453: "has no bandwidth left",
    503: "is busy",
}
# What an HTTP camera answers instead of pictures: its type, its body, what is told.
NO_PICTURES: Final[Mapping[str, tuple[str | None, bytes, str]]] = {
    "a web page": ("text/html", b"<html>login</html>", "answers with a web page"),
    "a web page without a type": (None, b"\n<!doctype html>", "answers with a web page"),
    "sound": ("audio/basic", bytes(1000), "sends sound only"),
    "JSON": ("application/json", b"{}" * 100, "gives no video that FFmpeg reads"),
    "nothing": ("video/mp4", b"", "answers, but sends nothing"),
}
RTSP_VIDEO: Final = {
    "/h264": ("H.264, TCP", "pixels"),
    "/h264-udp": ("H.264, UDP only", "pixels"),
    "/h265": ("H.265, TCP", "pixels"),
    "/mjpeg": ("MJPEG, TCP", "JPEG"),
}
# What a webcam's MJPG buffers hold, made of a JPEG.
MJPG_BUFFERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "MJPG": lambda jpeg: jpeg,
    "MJPG, zeros after it": lambda jpeg: jpeg + bytes(5000),
    "MJPG, zeros before it": lambda jpeg: b"\0" * 64 + jpeg,
    "MJPG, junk after it": lambda jpeg: jpeg + b"\xff\xd8\xff junk \xff\xd9 more",
}
MJPG_DAMAGE: Final = {"nothing": b"", "junk": b"\x55" * 9000, "a cut JPEG": JPEGS[0][:900]}


@dataclass(frozen=True, slots=True)
class Manner:
    """One row of the page; `test` is a test's module under tests/camera_node, and its name."""

    camera: str
    sends: str
    comes: str
    test: tuple[str, str]


def manners() -> list[Manner]:
    """All rows, in the order of the page."""
    return [*_http(), *_rtsp(), *_webcams(), *_others()]


def _http() -> list[Manner]:
    module = "sources.network.test_http_camera"
    parts = [
        Manner("HTTP", name, "each JPEG, byte for byte", (module, "test_every_picture_comes_byte_"
               "for_byte")) for name in PARTS
    ]  # fmt: skip
    refusals = [
        Manner("HTTP", f"status {status}", f"“{message}”", (module, "test_each_refusal_has_its_"
               "sentence")) for status, message in HTTP_REFUSALS.items()
    ]  # fmt: skip
    instead = [
        Manner("HTTP", f"{name}, no pictures", f"“{message}”", (module, "test_what_is_no_picture_"
               "has_its_sentence")) for name, (_, _, message) in NO_PICTURES.items()
    ]  # fmt: skip
    more = [
        Manner("HTTP", sends, comes, (module, f"test_{test}"))
        for sends, comes, test in (
            ("one picture at each asking", "asked again at `rate_hz`",
             "a_snapshot_is_fetched_again_and_again_at_the_rate"),
            ("one picture at each asking, called a stream, without a type, a length or an end",
             "asked again at `rate_hz`", "one_picture_an_answer_is_a_snapshot_by_any_name"),
            ("a new nonce of Digest for each request", "answered each time",
             "a_nonce_that_is_good_for_one_request_is_answered_each_time"),
            ("one PNG at each asking", "pixels", "a_snapshot_may_be_a_png"),
            ("a clip with an end", "pixels, in its own time, over and over",
             "a_clip_over_http_plays_whole_and_over_and_over"),
            ("12 megapixels", "the JPEG, shrunk to `width` and `height`",
             "a_stream_of_12_megapixels_goes_out_as_small_as_is_set"),
            ("no further picture", "“fell silent”",
             "a_stream_without_further_pictures_is_given_up"),
            ("a certificate of its own", "taken with `--source-any-certificate`, else named",
             "a_certificate_of_its_own_is_taken_on_request_only"),
            ("ciphers of older firmware", "taken; TLS 1.0 and 1.1 are named",
             "older_ciphers_are_taken_and_encryption_that_is_not_safe_is_named"),
            ("blanks and umlauts in its path", "written as browsers write them",
             "a_path_is_written_as_browsers_write_it"),
            ("a redirect", "followed, the password to the same host only",
             "no_password_follows_a_redirect_to_somebody_else"),
            ("something else than HTTP", "“not in HTTP”", "what_speaks_no_http_is_told"),
            ("nothing: nobody listens", "“refuses the connection”",
             "nobody_there_is_told_without_the_password"),
            ("nothing: it hangs", "“does not answer within 5 s”",
             "a_camera_that_does_not_answer_is_told"),
        )
    ]  # fmt: skip
    return [*parts, *more, *refusals, *instead]


def _rtsp() -> list[Manner]:
    module = "sources.network.test_rtsp"
    dated = "test_pictures_come_and_are_dated_by_when_they_were_drawn"
    video = [Manner("RTSP", sends, comes, (module, dated)) for sends, comes in RTSP_VIDEO.values()]
    refusals = [
        Manner("RTSP", f"status {status}", f"“{message}”", (module, "test_each_refusal_has_its_"
               "sentence")) for status, message in RTSP_REFUSALS.items()
    ]  # fmt: skip
    more = [
        Manner("RTSP", sends, comes, (module, f"test_{test}"))
        for sends, comes, test in (
            ("a question for user and password", "answered, Basic or Digest",
             "a_camera_that_knows_its_user_lets_us_in"),
            ("the same, without a user or with a wrong one", "“wants user”, “refuses this user”",
             "who_is_not_let_in_is_told"),
            ("status 404, or sound only", "“nothing at this address”, “sends sound only”",
             "why_no_video_comes_is_told"),
            ("key frames 6 s apart", "waited for, and their interval named",
             "key_frames_far_apart_are_waited_for_and_named"),
            ("more than is decoded in time", "dated truly; opened again once a second behind, “too "
             "fast for this machine”", "a_stream_that_decodes_too_slowly_is_dated_truly_and_given_"
             "up_when_a_second_behind"),
            ("a clock that is set while it sends", "goes on, by this machine's clock",
             "a_stream_whose_clock_is_set_goes_on"),
            ("H.264 of interlaced fields", "“is interlaced”",
             "of_an_interlaced_stream_comes_its_picture_or_an_error"),
            ("nothing any more", "“fell silent”",
             "a_camera_that_falls_silent_is_not_called_too_fast"),
            ("nothing after it is told to play", "“then sends nothing”",
             "a_camera_that_plays_but_sends_nothing_is_told"),
            ("Digest by SHA-256 only", "“which FFmpeg does not speak”",
             "a_digest_that_is_not_spoken_is_told_as_that"),
            ("rtsps", "pixels; asked the other way, “encrypted”",
             "an_encrypted_stream_gives_pictures_and_is_not_read_otherwise"),
        )
    ]  # fmt: skip
    return [*video, *more, *refusals]


def _webcams() -> list[Manner]:
    module = "sources.test_v4l2"
    whole = [
        Manner("webcam", name, "the JPEG, byte for byte", (module, "test_mjpg_passes_byte_for_"
               "byte")) for name in MJPG_BUFFERS
    ]  # fmt: skip
    damaged = [
        Manner("webcam", f"MJPG, {name} now and then", "the other JPEGs", (module, "test_what_is_"
               "no_picture_is_passed_over")) for name in MJPG_DAMAGE
    ]  # fmt: skip
    more = [
        Manner("webcam", sends, comes, (module, f"test_{test}"))
        for sends, comes, test in (
            ("MJPG, junk twenty times at its start", "the JPEGs after it",
             "twenty_damaged_pictures_at_the_start_change_nothing"),
            ("MJPG by name, YUYV in truth", "pixels",
             "a_camera_whose_mjpg_is_none_is_asked_for_pixels"),
            ("MJPG by name, junk in truth", "“says that it sends MJPG, but no JPEG comes”",
             "a_camera_that_gives_only_junk_is_no_dark_room"),
            ("YUYV, UYVY", "luma where that suffices, else colour",
             "luma_is_taken_unconverted_where_it_suffices"),
        )
    ]  # fmt: skip
    return [*whole, *damaged, *more]


def _others() -> list[Manner]:
    pi, file = "sources.test_picamera", "sources.test_video"
    return [
        Manner("Pi camera", "YUV 4:2:0", "luma where that suffices, else colour",
               (pi, "test_luma_is_the_first_plane_and_colour_is_that_of_a_jpeg")),
        Manner("file", "a browser's WebM of varying rate", "pixels, by their own times",
               (file, "test_a_browsers_webm_plays_by_the_times_of_its_frames")),
        Manner("file", "a claim of 1000 frames a second", "its times are measured",
               (file, "test_a_claim_of_1000_frames_a_second_is_not_believed")),
        Manner("file", "interlaced fields (DV, AVCHD, television)", "“is interlaced”",
               (file, "test_of_an_interlaced_video_comes_its_picture_or_an_error")),
        Manner("file", "a place that is damaged", "the pictures before and after; it is told",
               (file, "test_a_place_that_is_damaged_is_passed_over_and_told_once")),
        Manner("file", "recordings put together, whose times begin anew", "pixels, to its end",
               (file, "test_recordings_that_were_put_together_play_to_their_end")),
        Manner("file", "MJPEG that must be turned", "upright pixels",
               (file, "test_a_file_that_must_be_turned_comes_as_upright_pixels")),
        Manner("file", "MJPEG", "each JPEG, byte for byte",
               (file, "test_mjpeg_in_a_file_passes_byte_for_byte")),
    ]  # fmt: skip
