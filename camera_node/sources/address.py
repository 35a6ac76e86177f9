"""Addresses of network cameras: which are known, and what of them may be shown."""

from urllib.parse import urlsplit


def redacted(url: str) -> str:
    """The address without user, password and query, fit for logs and errors."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{url.partition('://')[0]}://..."
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
