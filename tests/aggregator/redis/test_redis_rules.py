"""Who may write to Redis, and who may spell its keys."""

import ast
from collections.abc import Iterator
from pathlib import Path

from roommood.aggregator.redis import keys as redis_keys

_ROOT = Path(__file__).parents[3]
_PARTS = ("shared", "camera_node", "inference_worker", "aggregator", "deploy")


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for part in _PARTS:
        for path in sorted((_ROOT / part).rglob("*.py")):
            yield path.relative_to(_ROOT).as_posix(), ast.parse(path.read_text())


def _docstrings(tree: ast.Module) -> set[ast.Constant]:
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef
    return {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, kinds)
        and node.body
        and isinstance(node.body[0], ast.Expr)
        and isinstance(node.body[0].value, ast.Constant)
    }


def _spells_a_key(tree: ast.Module) -> bool:
    exempt = _docstrings(tree)
    return any(
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith("roommood:")
        and node not in exempt
        for node in ast.walk(tree)
    )


def _imports(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_only_redis_keys_spells_a_key() -> None:
    assert [name for name, tree in _modules() if _spells_a_key(tree)] == [
        "aggregator/redis/keys.py"
    ]


def test_only_the_aggregator_and_deploy_know_redis() -> None:
    knowing = {name.split("/")[0] for name, tree in _modules() if "redis" in _imports(tree)}
    assert knowing <= {"aggregator", "deploy"}


_WRITING = {
    "hset", "hdel", "hincrby", "set", "setex", "sadd", "srem", "zadd", "zrem", "expire", "delete",
    "unlink", "evalsha", "eval", "register_script", "publish", "incr", "setbit", "flushall",
}  # fmt: skip


def _writes(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _WRITING
        and ast.unparse(node.func.value) in ("self._redis", "pipe", "client", "redis")
        for node in ast.walk(tree)
    )


def test_only_the_store_and_the_operators_settings_write_to_redis() -> None:
    assert [name for name, tree in _modules() if _writes(tree)] == [
        "aggregator/counting/operator_settings.py",
        "aggregator/counting/store.py",
    ]


def test_the_key_table_names_every_key_that_can_be_made() -> None:
    table = redis_keys.__doc__ or ""
    for made in (
        redis_keys.SCHEMA,
        redis_keys.ROOMS,
        redis_keys.PAUSED,
        redis_keys.PAUSED_CAMERAS,
        redis_keys.VIEWS,
        redis_keys.GROUPS,
        redis_keys.QUIET_HOURS,
        redis_keys.live("room"),
        redis_keys.forgotten("room"),
        redis_keys.updates("room"),
        redis_keys.model("<id>"),
        redis_keys.camera("<id>"),
        redis_keys.worker("<id>"),
        *(f"roommood:{{room}}:{span.name}:<start>" for span in redis_keys.RESOLUTIONS),
    ):
        assert f"`{made}`" in table
