"""A whole site, desktop and Pis, brought to what one file says: `roommood deploy site.toml`."""
