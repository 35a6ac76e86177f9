"""Rooms on a terminal: `roommood rooms`, `stats`, `watch`, `export`."""
