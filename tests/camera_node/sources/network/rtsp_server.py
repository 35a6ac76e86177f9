"""RTSP cameras with a burnt-in clock: run by Debian's python3, which has GStreamer.

Every picture shows, in 20 squares along its top, the monotonic milliseconds at which it was drawn.
Prints the ports of an open server and of two that want user "user" with `SECRET`, by Digest and
by Basic.

    rtsp_server.py [WIDTH HEIGHT RATE_HZ]       320 240 15 unless given
"""

import sys
import time
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

WIDTH, HEIGHT, RATE_HZ = (int(number) for number in sys.argv[1:] or (320, 240, 15))
BITS = 20
SQUARE = WIDTH // BITS
X264 = "x264enc tune=zerolatency speed-preset=ultrafast"
H264 = f"{X264} key-int-max=15 ! rtph264pay"
FIELDS = "capssetter caps=video/x-raw,interlace-mode=interleaved,field-order=top-field-first"
H265 = "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph265pay"
PATHS = {
    "/h264": (H264, None),
    "/h264-udp": (H264, GstRtsp.RTSPLowerTrans.UDP),
    "/mjpeg": ("jpegenc ! rtpjpegpay", None),
    "/interlaced": (f"{FIELDS} ! {X264} interlaced=true key-int-max=15 ! rtph264pay", None),
    "/far": (f"{X264} key-int-max=90 option-string=scenecut=0 ! rtph264pay", None),
}
SECRET = "p@ss:w/rd%41#?& é"
Gst.init(None)
if Gst.ElementFactory.find("x265enc"):
    PATHS["/h265"] = (H265, None)


def drawn() -> bytes:
    """One I420 picture: the clock's squares, grey below, no colour."""
    now_ms = int(time.monotonic() * 1000) & ((1 << BITS) - 1)
    row = b"".join(bytes([255 if now_ms >> bit & 1 else 0]) * SQUARE for bit in range(BITS))
    grey = bytes([80]) * (WIDTH * (HEIGHT - SQUARE))
    return row * SQUARE + grey + bytes([128]) * (WIDTH * HEIGHT // 2)


def camera(encoder: str, transport: Any, *, shared: bool = False) -> Any:
    factory = GstRtspServer.RTSPMediaFactory()
    caps = f"video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={RATE_HZ}/1"
    source = f"appsrc name=source is-live=true do-timestamp=true format=time caps={caps}"
    factory.set_launch(f"( {source} ! queue max-size-buffers=3 ! {encoder} name=pay0 )")
    factory.set_shared(shared)
    if transport is not None:
        factory.set_protocols(transport)
    factory.connect("media-configure", play)
    return factory


def play(_: Any, media: Any) -> None:
    source = media.get_element().get_child_by_name("source")

    def tick() -> bool:
        return bool(source.emit("push-buffer", Gst.Buffer.new_wrapped(drawn())) is not None)

    timer = GLib.timeout_add(1000 // RATE_HZ, tick)
    media.connect("unprepared", lambda _: GLib.source_remove(timer))


def sound() -> Any:
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch("( audiotestsrc is-live=true ! mulawenc ! rtppcmupay name=pay0 pt=0 )")
    return factory


def server(factories: dict[str, Any]) -> Any:
    made = GstRtspServer.RTSPServer()
    made.set_address("127.0.0.1")
    made.set_service("0")
    for path, factory in factories.items():
        made.get_mount_points().add_factory(path, factory)
    return made


def locked(method: Any) -> Any:
    factory = camera(H264, None)
    permissions = GstRtspServer.RTSPPermissions()
    for permission in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("viewer", permission, True)
    factory.set_permissions(permissions)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(method)
    auth.add_digest("user", SECRET, token)
    auth.add_basic(auth.make_basic("user", SECRET), token)
    made = server({"/h264": factory})
    made.set_auth(auth)
    return made


def main() -> None:
    # One for all who come: whoever comes late waits for its next key frame.
    factories = {
        path: camera(encoder, transport, shared=path == "/far")
        for path, (encoder, transport) in PATHS.items()
    }
    servers = [server({**factories, "/sound": sound()})]
    servers += [locked(GstRtsp.RTSPAuthMethod.DIGEST), locked(GstRtsp.RTSPAuthMethod.BASIC)]
    for each in servers:
        each.attach(None)
    ports = " ".join(str(each.get_bound_port()) for each in servers)
    sys.stdout.write(f"{ports} {','.join(PATHS)}\n")
    sys.stdout.flush()
    loop = GLib.MainLoop()
    # Its parent's end ends it, too.
    GLib.io_add_watch(sys.stdin.fileno(), GLib.IO_HUP | GLib.IO_IN, lambda *_: loop.quit())
    loop.run()


if __name__ == "__main__":
    main()
