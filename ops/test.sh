#!/usr/bin/env bash
# Every check of the project: format, lint, types, then all tests (layers, generated code, docs among
# them). Arguments go to pytest, so `bash ops/test.sh tests/unit -k budget` runs a part.
set -euo pipefail
cd "$(dirname "$0")/.."
. ops/venv.sh
. ops/azurite.sh
ensure_venv requirements-dev.lock
ensure_azurite
.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/mypy --strict engine main.py
# By whole files, beside each other: tests of a file share servers, and mostly wait for processes.
exec .venv/bin/python -m pytest -n "${TEST_PROCESSES:-3}" --dist loadfile --durations=25 "$@"
