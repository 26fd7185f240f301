#!/usr/bin/env bash
# Makes .venv on first use, installs the locked requirements, runs Trellis with the given arguments.
set -euo pipefail
cd "$(dirname "$0")/.."
. ops/venv.sh
ensure_venv requirements.lock
exec .venv/bin/python main.py "$@"
