"""Rooms and cameras for Home Assistant, and whatever else speaks MQTT."""
