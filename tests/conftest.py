"""What all tests start from."""

import signal

# A script's background job starts with SIGINT ignored, and its children would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
