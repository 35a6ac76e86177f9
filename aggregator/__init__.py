"""Aggregator: count results exactly once into per-room statistics in Redis."""
