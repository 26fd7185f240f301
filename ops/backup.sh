#!/usr/bin/env bash
# Backs up a running engine into FOLDER/trellis-TIME, and keeps the newest N of those.
# Usage: bash ops/backup.sh FOLDER [--keep N] [options of main.py, such as --data DIR]
# For a timer: prints one line, exits with 0 only if the new backup is whole.
set -euo pipefail

usage() {
    sed -n '2,3s/^# //p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

[ $# -ge 1 ] && [ "${1#-}" = "$1" ] || usage
folder="$1"
shift
keep=""
if [ "${1:-}" = --keep ]; then
    keep="${2:-}"
    [[ "$keep" =~ ^[1-9][0-9]*$ ]] || usage
    shift 2
fi
mkdir -p "$folder"
folder="$(cd "$folder" && pwd)"

here="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="${PYTHON:-$here/.venv/bin/python}"
target="$folder/trellis-$(date -u +%Y%m%dT%H%M%SZ)"
"$python" "$here/main.py" "$@" backup "$target"

[ -n "$keep" ] || exit 0
# Only whole ones count, and only after a new one: names sort by time, and a manifest is written last.
shopt -s nullglob
whole=()
for manifest in "$folder"/trellis-*Z/manifest.json; do
    whole+=("${manifest%/manifest.json}")
done
# What backups that were killed have left takes as much room; nobody copies for a day.
find "$folder" -maxdepth 1 -type d -name '.trellis-*Z.partial-*' -mmin +1440 -exec rm -rf -- {} +
for ((i = 0; i < ${#whole[@]} - keep; i++)); do
    rm -rf -- "${whole[i]}"
done
