#!/usr/bin/env bash
# Makes the data folder NEW_FOLDER of a backup: every byte and every table's rows are checked.
# Usage: bash ops/restore.sh BACKUP NEW_FOLDER
# NEW_FOLDER must not exist, or be empty, so it is never one that an engine runs on.
set -euo pipefail
if [ $# -ne 2 ]; then
    sed -n '3s/^# //p' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
here="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
exec "${PYTHON:-$here/.venv/bin/python}" "$here/main.py" restore "$1" "$2"
