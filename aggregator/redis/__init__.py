"""The Redis behind it: keys, connections, credentials, shards."""
