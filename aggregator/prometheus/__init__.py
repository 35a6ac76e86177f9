"""Rooms and cameras for Prometheus."""
