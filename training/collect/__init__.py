"""Labelled face pictures: from a camera, and from public sets."""
