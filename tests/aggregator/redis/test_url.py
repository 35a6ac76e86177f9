"""What a Redis URL may say, and what is said of one that cannot be used."""

import pytest

from roommood.aggregator.redis.url import parse_url
from roommood.shared.errors import ConfigError


def test_the_usual_forms_say_what_they_mean() -> None:
    plain = parse_url("redis://reader@desk:7000/3?socket_timeout=0.5")
    assert (plain.user, plain.hosts, plain.db) == ("reader", (("desk", 7000),), 3)
    assert plain.options == {"socket_timeout": 0.5}
    assert parse_url("rediss://desk?ca_file=/ca.pem").own == {"ca_file": "/ca.pem"}
    assert parse_url("redis://").hosts == (("localhost", 6379),)
    assert parse_url("redis://[::1]:7000").hosts == (("::1", 7000),)


def test_a_database_may_be_said_twice_where_both_are_one() -> None:
    assert parse_url("redis://desk/3?db=3").db == 3
    assert parse_url("redis://desk?db=3&health_check_interval=0").db == 3


def test_a_socket_is_named_by_its_path() -> None:
    url = parse_url("unix://writer@/run/redis/redis.sock?db=2")
    assert (url.user, url.path, url.db, url.hosts) == ("writer", "/run/redis/redis.sock", 2, ())


def test_a_cluster_is_named_by_some_of_its_nodes() -> None:
    url = parse_url("redis://writer@a:7000,b/0?cluster=true")
    assert (url.is_cluster, url.hosts) == (True, (("a", 7000), ("b", 6379)))


@pytest.mark.parametrize(("path", "db"), [("site", 0), ("site/", 0), ("site/4", 4)])
def test_sentinels_are_named_with_the_service_that_they_watch(path: str, db: int) -> None:
    url = parse_url(f"rediss+sentinel://writer@a,b:26380/{path}?sentinel_user=s")
    assert url.hosts == (("a", 26379), ("b", 26380))
    assert (url.service, url.db, url.user, url.has_tls) == ("site", db, "writer", True)
    assert url.own == {"sentinel_user": "s"}


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://desk/abc", "/abc in the Redis URL is no database"),
        ("redis://desk/1/2", "no database"),
        ("redis://desk/-1", "no database"),
        ("redis+sentinel://a,b/site/abc", "no database"),
        ("redis+sentinel://a,b", "say which"),
        ("redis+sentinel:///site", "say which"),
        ("redis+sentinel://a/site?cluster=true", "a Redis Cluster is reached by TCP"),
        ("redis://a,b/0", "names several servers"),
        ("redis://a?sentinel_user=s", "names no sentinels"),
        ("redis://desk?socket_timout=3", "did you mean socket_timeout"),
        ("redis://desk?xyz=1", "xyz in the Redis URL: Known are ca_file, client_name"),
        ("redis://desk?protocol=4", "say 2 or 3"),
        ("redis://desk?db=abc", "say a whole number"),
        ("redis://desk?socket_timeout=soon", "socket_timeout=soon in the Redis URL: say seconds"),
        ("redis://desk?socket_timeout=nan", "say seconds, above 0"),
        ("redis://desk?socket_timeout=0", "say seconds, above 0"),
        ("redis://desk?socket_connect_timeout=-1", "say seconds, above 0"),
        ("redis://desk?socket_timeout=1e400", "say seconds, above 0 and at most 3600"),
        ("redis://desk?health_check_interval=-5", "say seconds, above 0"),
        ("redis://desk/0?db=3", "/0 and db=3 in the Redis URL: say which holds"),
        ("redis://desk?db=1&db=2", "db stands twice"),
        ("redis://desk?ssl_certfile=a.pem", "ssl_certfile in a Redis URL without TLS"),
        ("redis://desk?ssl_keyfile=a.pem", "ssl_keyfile in a Redis URL without TLS"),
        ("redis+sentinel://desk/site?ssl_ca_certs=a.pem", "ssl_ca_certs in a Redis URL without"),
        ("unix:///run/redis.sock?socket_keepalive=true", "a unix socket has none"),
        ("redis://desk:99999", "no HOST:PORT"),
        ("redis://desk:http", "no HOST:PORT"),
        ("unix://", "names no socket"),
        ("http://desk", "is not a Redis URL"),
        ("desk:6379", "is not a Redis URL"),
    ],
)
def test_a_url_that_cannot_be_used_says_why(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        parse_url(url)
