"""Results to Redis, each counted exactly once."""
