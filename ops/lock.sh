#!/usr/bin/env bash
# Makes the lock files anew from the requirements, for every platform, with hashes.
# Run it after changing a pin; a test checks that the locks cover the requirements.
set -euo pipefail
cd "$(dirname "$0")/.."
for name in requirements requirements-traces requirements-dev; do
    .venv/bin/uv pip compile "$name.txt" --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --output-file "$name.lock" --quiet "$@"
done
