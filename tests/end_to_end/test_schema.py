"""A Redis that holds another version of the key table is refused, and left as it is."""

from tests.end_to_end.site import Site


def test_an_aggregator_refuses_a_redis_of_another_schema(site: Site) -> None:
    with site.redis.client() as client:
        client.set("roommood:schema", "99")
        aggregator = site.start(
            "roommood.aggregator.cli", "--bind", site.address(), "--redis", site.redis.url
        )
        assert aggregator.wait() == 1
        assert "holds version 99" in aggregator.tail()
        assert client.keys("*") == ["roommood:schema"]
