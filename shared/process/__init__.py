"""How a process runs: settings, commands, signals, logs, health and metrics."""
