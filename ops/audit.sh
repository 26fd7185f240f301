#!/usr/bin/env bash
# Looks over the locked requirements: hashes, agreement with the inputs, known vulnerabilities.
# Usage: bash ops/audit.sh
# Exits with 1 for a broken lock or a known vulnerability that ops/audit-accepted.txt does not name.
# Where the database of vulnerabilities cannot be asked, it says so and does not fail for that.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
uv="${UV:-.venv/bin/uv}"
python="${PYTHON:-.venv/bin/python}"
readonly AUDITOR=pip-audit==2.10.1
export UV_HTTP_TIMEOUT=15
work="$(mktemp -d)"
trap 'rm -rf -- "$work"' EXIT
failed="" unasked=""

# What could not be looked at is no finding, and no clean bill either.
pass_over() {
    printf 'audit: %s\n' "$@" >&2
    unasked=1
}

complain() {
    printf 'audit: %s\n' "$@" >&2
    failed=1
}

# Nothing is asked of anybody for this.
check_hashes() {
    local name
    while IFS= read -r name; do
        complain "$1: $name has no hash; run ops/lock.sh"
    done < <("$python" - "$1" <<'PYTHON'
import re, sys
blocks = re.split(r"\n(?=\S)", open(sys.argv[1], encoding="utf-8").read().strip())
for block in blocks:
    if not block.startswith("#") and not re.search(r"--hash=sha256:[0-9a-f]{64}\b", block):
        print(block.split()[0])
PYTHON
)
}

# Locking again, with the present lock as what is preferred, must change nothing.
check_agreement() {
    local name="$1" again="$work/$1.lock"
    cp "$name.lock" "$again"
    if ! "$uv" pip compile "$name.txt" --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --output-file "$again" --quiet 2>"$work/log"; then
        pass_over "$name.lock was not compared with $name.txt: the package index did not answer"
        return
    fi
    # Versions only: new files of an old version bring new hashes.
    if ! diff <(grep -oE '^[A-Za-z0-9._-]+==[^ ;\\]+' "$name.lock") \
        <(grep -oE '^[A-Za-z0-9._-]+==[^ ;\\]+' "$again") >"$work/diff"; then
        complain "$name.lock does not follow from $name.txt; run ops/lock.sh:" "$(cat "$work/diff")"
    fi
    if grep -i yanked "$work/log" >"$work/yanked"; then
        complain "$name.lock names a version that was withdrawn:" "$(cat "$work/yanked")"
    fi
}

check_vulnerabilities() {
    local report="$work/$1.json" ignored=() id line
    while read -r id _; do
        ignored+=(--ignore-vuln "$id")
    done < <(grep -vE '^[[:space:]]*(#|$)' ops/audit-accepted.txt)
    # Exit code 1 says "found some" as well as "could not ask": the report is there only if it could.
    "$uv" tool run --from "$AUDITOR" pip-audit --requirement "$1.lock" --require-hashes \
        --disable-pip --no-deps --timeout 15 --progress-spinner off --format json --output "$report" \
        "${ignored[@]}" >"$work/log" 2>&1 || true
    if [ ! -s "$report" ]; then
        pass_over "$1.lock was not compared with known vulnerabilities: nobody could be asked" \
            "$(tail -n 1 "$work/log")"
        return
    fi
    while IFS= read -r line; do
        case "$line" in
            skipped*) pass_over "$1.lock: ${line#skipped }" ;;
            *) complain "$1.lock: $line" ;;
        esac
    done < <("$python" - "$report" <<'PYTHON'
import json, sys
packages = json.load(open(sys.argv[1], encoding="utf-8"))["dependencies"]
# Of what the database does not answer for, the auditor says "no known vulnerabilities".
skipped = [package["name"] for package in packages if "skip_reason" in package]
if skipped:
    print(f"skipped {len(skipped)} of {len(packages)} packages are not in the database that answered")
for package in packages:
    for found in package.get("vulns", ()):
        fixed = ", ".join(found.get("fix_versions", ())) or "no version"
        print(f"{package['name']} {package.get('version')}: {found['id']}, fixed in {fixed}")
PYTHON
)
}

for name in requirements requirements-dev requirements-traces; do
    check_hashes "$name.lock"
    check_agreement "$name"
    check_vulnerabilities "$name"
done
if [ -n "$failed" ]; then
    exit 1
elif [ -n "$unasked" ]; then
    echo "audit: nothing to mend was found in what could be looked at"
else
    echo "audit: nothing to mend was found"
fi
