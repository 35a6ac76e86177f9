"""A small page of what a camera sees, to aim it and to draw masks."""
