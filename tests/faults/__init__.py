"""A seeded nemesis kills, freezes and restarts what it likes; the books are checked after."""
