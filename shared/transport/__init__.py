"""Sockets between processes: addresses, roles, connections, discovery."""
