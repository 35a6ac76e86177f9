"""The read side: what the counters say about a room."""
