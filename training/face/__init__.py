"""How the face detector was made."""
