"""The `roommood` command, the demo and what a site needs; the one place that knows all components."""
