"""The `roommood` command, the demo and the doctor: the one place that knows all components."""
