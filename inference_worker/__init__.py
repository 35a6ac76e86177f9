"""Inference worker: ask for frames, find faces, tell what they show, report."""
