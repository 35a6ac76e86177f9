"""Cameras that are reached over the network: who they are, what they answer, how they send."""
