"""The keys and Redis users of a site."""
