"""The architecture's one-way imports, checked over every module of the engine."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LAYERS = [
    {
        "errors",
        "metrics",
        "scrape_gauge",
        "health",
        "logs",
        "loop_lag",
        "loopback",
        "own_process",
        "private_files",
        "ready",
        "control_token",
        "allocator",
        "clock",
        "version",
        "disk_space",
        "imports",
        "plain_json",
        "redis_import",
        "request_context",
        "tracing",
        "early_stop",
        "signals",
    },
    {"records", "config", "rpc", "web"},
    {"store", "backends", "generator"},
    {"jobs"},
    {"features", "history", "intake", "retention", "uploads", "workers"},
    {"models"},
    {"serving", "tasks"},
    {"learning"},
    {"services", "console"},
    {
        "app_console",
        "app_demo",
        "app_features",
        "app_learning",
        "app_loop",
        "app_retention",
        "app_servers",
        "app_workers",
    },
    {"app"},
    {"cli"},
]
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}

ONLY_MODULE_FOR = {
    "aiokafka": "engine/intake",
    "azure": "engine/backends/blobs",
    "trio_asyncio": "engine/intake",
    "duckdb": "engine/store",
    "hypercorn": "engine/web",
    "opentelemetry": "engine/tracing",
    "purerpc": "engine/rpc",
}
"""Libraries that one package alone may import."""

ONLY_IN_WORKERS = {"pandas", "sklearn", "scipy", "skops"}
"""Seconds to import, and never needed by the engine process: `engine/tasks` alone may."""

NEVER = {"pickle"}


def engine_modules() -> list[Path]:
    return sorted(p for p in (ROOT / "engine").rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative imports hide the layers"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def part_of(path: Path) -> str:
    return path.relative_to(ROOT / "engine").parts[0].removesuffix(".py")


def engine_part(name: str) -> str | None:
    pieces = name.split(".")
    return pieces[1] if pieces[0] == "engine" and len(pieces) > 1 else None


def test_every_part_has_a_level() -> None:
    parts = {part_of(path) for path in engine_modules()} - {"__init__"}
    assert parts <= LEVEL.keys(), f"give these a level: {parts - LEVEL.keys()}"


@pytest.mark.parametrize("path", engine_modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down_only(path: Path) -> None:
    here = part_of(path)
    for name in imports_of(path):
        there = engine_part(name)
        if there is None or here in (there, "__init__"):
            continue
        same_base = LEVEL[here] == LEVEL[there] == 0
        assert LEVEL[there] < LEVEL[here] or same_base, f"{path} imports {name}"


@pytest.mark.parametrize("path", engine_modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_foreign_libraries_stay_in_their_room(path: Path) -> None:
    relative = str(path.relative_to(ROOT))
    for name in imports_of(path):
        top = name.split(".")[0]
        room = ONLY_MODULE_FOR.get(top)
        assert room is None or relative.startswith(room), f"{relative} imports {name}"
        in_workers = relative.startswith("engine/tasks/")
        assert in_workers or top not in ONLY_IN_WORKERS, f"{relative} imports {name}"
        assert top not in NEVER, f"{relative} imports {name}"


def test_one_module_alone_crosses_to_asyncio() -> None:
    crossing = {
        str(path.relative_to(ROOT))
        for path in engine_modules()
        if any(name.split(".")[0] == "trio_asyncio" for name in imports_of(path))
    }
    assert len(crossing) <= 1, crossing
