"""Camera node: grab, mask, compress and publish frames, newest first, when asked."""
