"""HTTP authentication, as RTSP has it too: Basic (RFC 7617) and Digest (RFC 7616, 2617, 2069)."""

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from roommood.camera_node.sources.network.address import Credentials

_SCHEME: Final = re.compile(r"(?:^|,\s*)([A-Za-z][A-Za-z0-9-]*)(?=\s+[A-Za-z-]+\s*=|\s*$)")
_PARAMETER: Final = re.compile(r'([A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
# The strongest first.
_DIGESTS: Final = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a server wants: a scheme in lower case, and its parameters."""

    scheme: str
    parameters: Mapping[str, str]

    @property
    def algorithm(self) -> str:
        return self.parameters.get("algorithm", "MD5").upper()

    @property
    def strength(self) -> int:
        """0 for what we cannot answer."""
        if self.scheme == "basic":
            return 1
        names = [*reversed(_DIGESTS)]
        name = self.algorithm.removesuffix("-SESS")
        known = self.scheme == "digest" and name in names and "nonce" in self.parameters
        return 2 + names.index(name) if known and _hash_named(name) else 0


class Authentication:
    """Answers a server's challenges for one user; without credentials it answers none."""

    def __init__(self, credentials: Credentials | None) -> None:
        self._credentials = credentials
        self._challenge: Challenge | None = None
        self._count = 0

    def learn(self, headers: Iterable[str]) -> bool:
        """Takes a refusal's WWW-Authenticate; True if another try with an answer makes sense."""
        offered = parse_challenges(headers) or [Challenge("basic", {})]
        best = max(offered, key=lambda challenge: challenge.strength)
        before, count = self._challenge, self._count
        self._challenge, self._count = best, 0
        if self._credentials is None or not best.strength:
            return False
        # Many cameras take each nonce once, and do not say that it is stale.
        is_stale = count > 1 or best.parameters.get("stale", "").lower() == "true"
        return before is None or is_stale

    def forget(self) -> None:
        """What was refused for good: the next request begins anew."""
        self._challenge = None

    @property
    def algorithm(self) -> str:
        """Of the Digest that was asked for last, as "SHA-256"; "" where it was none."""
        is_digest = self._challenge is not None and self._challenge.scheme == "digest"
        return self._challenge.algorithm if self._challenge is not None and is_digest else ""

    def answer(self, method: str, uri: str) -> str | None:
        """The Authorization header for the next request of this URI, where one is wanted."""
        if self._credentials is None or self._challenge is None:
            return None
        if self._challenge.scheme == "basic":
            pair = f"{self._credentials.user}:{self._credentials.password}".encode()
            return "Basic " + base64.b64encode(pair).decode()
        self._count += 1
        cnonce = secrets.token_hex(8)
        return digest(self._challenge, self._credentials, method, uri, self._count, cnonce)


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """All challenges of all WWW-Authenticate headers, of which each may hold several."""
    challenges = []
    for header in headers:
        starts = [*_SCHEME.finditer(header)]
        ends = [start.start() for start in starts[1:]] + [len(header)]
        for start, end in zip(starts, ends, strict=True):
            values = _PARAMETER.findall(header[start.end() : end])
            parameters = {
                name.lower(): re.sub(r"\\(.)", r"\1", quoted) or bare
                for name, quoted, bare in values
            }
            challenges.append(Challenge(start.group(1).lower(), parameters))
    return challenges


def digest(
    challenge: Challenge,
    credentials: Credentials,
    method: str,
    uri: str,
    count: int,
    cnonce: str,
) -> str:
    """The Authorization header that answers a Digest challenge."""
    name = challenge.algorithm.removesuffix("-SESS")
    given = challenge.parameters
    realm, nonce = given.get("realm", ""), given["nonce"]

    def hashed(*parts: str) -> str:
        return hashlib.new(_DIGESTS[name], ":".join(parts).encode()).hexdigest()

    secret = hashed(credentials.user, realm, credentials.password)
    if challenge.algorithm.endswith("-SESS"):
        secret = hashed(secret, nonce, cnonce)
    request = hashed(method, uri)
    fields = [("username", credentials.user), ("realm", realm), ("nonce", nonce), ("uri", uri)]
    bare = []
    if "auth" in re.split(r"[\s,]+", given.get("qop", "")):
        number = f"{count:08x}"
        response = hashed(secret, nonce, number, cnonce, "auth", request)
        fields.append(("cnonce", cnonce))
        bare = [f"nc={number}", "qop=auth"]
    else:
        response = hashed(secret, nonce, request)
    fields.append(("response", response))
    if "opaque" in given:
        fields.append(("opaque", given["opaque"]))
    if "algorithm" in given:
        bare.append(f"algorithm={given['algorithm']}")
    return "Digest " + ", ".join([*(f'{key}="{_escaped(value)}"' for key, value in fields), *bare])


def _escaped(value: str) -> str:
    return re.sub(r'(["\\])', r"\\\1", value)


def _hash_named(name: str) -> bool:
    return _DIGESTS[name] in hashlib.algorithms_available
