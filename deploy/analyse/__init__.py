"""`roommood analyse`: a video file instead of a room, as fast as it goes, and no Redis."""
