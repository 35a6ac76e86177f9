"""Every bound of the wire, with its unit and the failure or attack that it bounds."""

from typing import Final

WIRE_VERSION: Final = 1
# No release speaks this one: who asks in it is only to see which component answers.
ASKING_VERSION: Final = 0

# Bytes of one message. A header holds names and numbers only; more is an attack or a bug.
MAX_HEADER_BYTES: Final = 16 * 1024
# A 4K JPEG at quality 95 is about 4 MB; libzmq drops the connection beyond this.
MAX_JPEG_BYTES: Final = 8 * 1024 * 1024
# A report of MAX_RESULTS_PER_REPORT results of crowded frames.
MAX_REPORT_BYTES: Final = 4 * 1024 * 1024
# Frame and Report messages have one or two parts; more parts are dropped unread.
MAX_PARTS: Final = 2

# Pixels that a JPEG may claim before it is decoded: a 631-byte file can claim 10^9.
MAX_PICTURE_PIXELS: Final = 3840 * 2160
# What a camera node takes from its source and makes smaller before it goes out: stills of 48 and
# 64 megapixels, and photographs with a video behind them.
MAX_FILE_PIXELS: Final = 64_000_000
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
# A side below this holds no face that could be classified.
MIN_PICTURE_SIDE_PX: Final = 16
# Start-of-frame must come within these bytes; EXIF and colour profiles lie before it.
MAX_JPEG_HEADER_BYTES: Final = 1024 * 1024
# Markers before start-of-frame, padding bytes included: each costs a turn of our reader's loop.
MAX_JPEG_MARKERS: Final = 4_096
# Scans of a JPEG, whatever its kind: an empty scan of 13 bytes costs half a millisecond of
# decoding at 4K, so that 256 KB of them cost ten seconds.
MAX_JPEG_SCANS: Final = 32

# Faces of one frame, largest first; bounds the classifier's batch and the size of a result.
MAX_FACES: Final = 64

# Microseconds that one frame may stand for: a camera that slept does not count its sleep.
MAX_INTERVAL_US: Final = 5_000_000
# Milliseconds: results older than this are refused by worker and aggregator, so that
# seen-bitmaps, which live SEEN_TTL_S, always outlive what could be counted twice.
MAX_RESULT_AGE_MS: Final = 6 * 3600 * 1000
SEEN_TTL_S: Final = 24 * 3600
# Bits of one seen-bitmap: 512 bytes of Redis for 4,096 frames.
SEEN_BITS: Final = 4096
MAX_SEQ: Final = 1 << 48

# What may be new in Redis: so many at once, and then one each so many milliseconds. What exceeds a
# bound is counted late. Bitmaps of one camera's key: 26 an hour at 30 frames/s, one a start.
BITMAPS_AT_ONCE: Final = 64
BITMAP_EVERY_MS: Final = 10_000.0
# Bitmaps of all keys together, some 800 bytes each: whoever has the workers' key may invent keys.
BITMAPS_IN_ALL_AT_ONCE: Final = 8_192
BITMAP_IN_ALL_EVERY_MS: Final = 15.0
# Rooms that Redis does not know; cameras (with their keys) of one room; models.
ROOMS_AT_ONCE: Final = 64
ROOM_EVERY_MS: Final = 10_000.0
SENDERS_AT_ONCE: Final = 64
SENDER_EVERY_MS: Final = 60_000.0
MODELS_AT_ONCE: Final = 4
MODEL_EVERY_MS: Final = 900_000.0
# Workers of which health is written; and cameras, each as one worker tells of it.
WORKERS_AT_ONCE: Final = 256
WORKER_EVERY_MS: Final = 1_000.0
HEALTH_AT_ONCE: Final = 2_048
HEALTH_EVERY_MS: Final = 20.0
# Buckets of 10 s of more than a minute ago, of all rooms: an outage of hours brings thousands.
LATE_BUCKETS_AT_ONCE: Final = 8_192
LATE_BUCKET_EVERY_MS: Final = 20.0

# Milliseconds without a word after which a worker's credit is void.
CREDIT_VOID_MS: Final = 3_000
# Milliseconds between two words of a camera on one connection, frames among them; and between two
# Hellos in any case. More would keep the counts of a lost frame and of a camera's health too long.
HELLO_EVERY_MS: Final = 1_000
HELLO_AT_LEAST_EVERY_MS: Final = 4_000
# Milliseconds of silence after which a learned worker is dropped.
LEARNED_WORKER_DROP_MS: Final = 60_000
# Workers that one camera uses: bounds its sockets and the Hellos on its radio.
MAX_WORKERS_PER_CAMERA: Final = 8
# Addresses in one Credit or Ack.
MAX_ADDRESSES: Final = 256
MAX_ADDRESS_CHARS: Final = 255
# Of what a camera says of its source, and a worker of the aggregators that it does not reach.
MAX_STATUS_CHARS: Final = 200
# Names that a process looks up at once, and those of them that others passed on: each is a thread,
# which a silent name server holds for half a minute.
MAX_LOOKUPS: Final = 8
MAX_LEARNED_LOOKUPS: Final = 2
IDLE_LOOKUP_S: Final = 10.0  # after which a thread without a name to look up ends
# Addresses of one name that are tried in turn.
MAX_NUMBERS: Final = 16
# Milliseconds until a name is looked up again: while its peer is away, a tenth of how long it has
# been so, within these bounds; the longer one while all is well.
LOOKUP_AGAIN_MS: Final = 500.0
LOOKUP_AGAIN_MAX_MS: Final = 30_000.0
# Milliseconds without a first answer after which it is said why, how long until it is said again,
# and between two tries to find out.
UNREACHED_MS: Final = 5_000.0
UNREACHED_AGAIN_MS: Final = 300_000.0
# The same of one that has answered before, from its loss on: longer than a restart takes.
STILL_AWAY_MS: Final = 30_000.0
PROBE_EVERY_MS: Final = 10_000.0
# Milliseconds: a camera sends no frame older than this; it waits for the next capture.
CAMERA_FRESH_MS: Final = 1_000

# Milliseconds between two looks at whether a picture still changes and has light in it; and
# how long it must have stood still, or have been black or even, before that is told.
LOOK_EVERY_MS: Final = 1_000.0
STILL_AFTER_MS: Final = 10_000.0
# Luma, 0..255: a mean below this is black (with nothing brighter than three times as much), and a
# standard deviation over 32x24 fields below the other is one even surface.
BLACK_LUMA: Final = 16.0
FLAT_LUMA: Final = 2.0

# Links (camera, session, socket) that a worker remembers; the longest silent one is forgotten.
MAX_SESSIONS: Final = 8_192
# Senders whose clock a worker or aggregator remembers, also while they are away.
MAX_CLOCKS: Final = 16_384
# Milliseconds of one turn of a component's loop; what lies beyond is time in which it heard nobody.
MAX_TICK_MS: Final = 1_000.0
# Milliseconds of silence after which another session of a camera may take its place back.
SESSION_SILENT_MS: Final = 10_000
# Milliseconds a frame may wait in a worker before the worker asks for less at a time.
MAX_WAIT_MS: Final = 20.0

# Milliseconds at one picture after which a compute thread counts as hung: the slowest detector
# takes a second on a Pi.
HUNG_ANALYSIS_MS: Final = 30_000.0

# Rooms, and cameras, that an Ack names as paused.
MAX_PAUSED: Final = 4_096
# Results of one Report and results under way to the aggregators at once.
MAX_RESULTS_PER_REPORT: Final = 256
MAX_RESULTS_IN_FLIGHT: Final = 1_000
# Of these, so many may be on the way at once before nothing more is sent again: what Redis refuses
# of one room leaves places for what is new of the others.
RESEND_BELOW_IN_FLIGHT: Final = 500
# Milliseconds that the result of a repeated look may wait for others to go with it: it tells
# nothing new, and alone it costs worker, aggregator and Redis as much as any.
REPEATED_WAIT_MS: Final = 500.0
# Tickets of one Ack: what an aggregator takes in before it answers, after a stall several
# times what one worker has under way.
MAX_TICKETS_PER_ACK: Final = 32_768
# Results a worker keeps while no aggregator acknowledges; the oldest are dropped beyond it.
RESULT_WINDOW: Final = 100_000
# Milliseconds without Ack after which a result goes out again, doubling up to the second.
RESEND_AFTER_MS: Final = 2_000
RESEND_AFTER_MAX_MS: Final = 10_000
# Results that an aggregator deferred: so often, so many of one camera and of all are tried again.
DEFERRED_EVERY_MS: Final = 1_000.0
MAX_DEFERRED_OF_CAMERA: Final = 64
MAX_DEFERRED_TRIED: Final = 256
REPORT_EVERY_MS: Final = 1_000
# Milliseconds between two tellings of the models' contracts.
MODELS_EVERY_MS: Final = 60_000
MAX_CAMERAS_PER_REPORT: Final = 2_048
MAX_MODELS_PER_REPORT: Final = 8
# Milliseconds without a Report after which a worker is no longer named in Acks.
WORKER_SILENT_MS: Final = 5_000

# Milliseconds: ZeroMQ handshake, connect and heartbeat. A silent connection is closed after
# the handshake interval, a half-open one after the heartbeat timeout. To each pause between two
# tries libzmq adds a random part of up to RECONNECT_MS: it tries every 50 to 100 ms.
HANDSHAKE_MS: Final = 2_000
CONNECT_MS: Final = 500
RECONNECT_MS: Final = 50
# Milliseconds after which a connection that libzmq has given up, since it was refused or broke the
# protocol, is tried again: an unknown key costs the other side one handshake a second.
REDIAL_MS: Final = 1_000
# As many handshakes in a row that the other side broke off, as one does that has another key, and
# from then on the pause before the next. Half a second, since a proxy does the same while its other
# end is away, and frames are to come within a second of its return.
BROKEN_OFF_IN_A_ROW: Final = 3
REDIAL_BROKEN_OFF_MS: Final = 500
HEARTBEAT_EVERY_MS: Final = 1_000
HEARTBEAT_TIMEOUT_MS: Final = 3_000
# Bytes that a connection may send without finishing a message, and milliseconds that it may say
# nothing at all: libzmq bounds neither, and keeps 64 bytes for a part of one. Peers say something
# every second.
MAX_UNFINISHED_BYTES: Final = 3 * MAX_JPEG_BYTES
MAX_UNFINISHED_BYTES_IN_ALL: Final = 8 * MAX_JPEG_BYTES
MUTE_MS: Final = 15_000.0
# Before the handshake is done: bytes that one may send (it takes 600 with keys) and that all may,
# and how many there may be of one address and in all. libzmq takes a message in before it knows
# from whom.
MAX_HANDSHAKE_BYTES: Final = 4_096
MAX_UNSHAKEN_BYTES_IN_ALL: Final = 2 * MAX_JPEG_BYTES
MAX_UNSHAKEN_OF_ADDRESS: Final = 128
MAX_UNSHAKEN_IN_ALL: Final = 1_024
# Messages queued per peer and direction; credit keeps the true number at one or two.
FRAME_HWM: Final = 16
REPORT_HWM: Final = 64
