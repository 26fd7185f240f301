#!/usr/bin/env bash
# Every check of the project: format, lint, types, then all tests (layers, generated code, docs among
# them). Arguments go to pytest, so `bash ops/test.sh tests/unit -k budget` runs a part.
set -euo pipefail
cd "$(dirname "$0")/.."
. ops/venv.sh
. ops/azurite.sh
. ops/chromium.sh
. ops/prometheus.sh
ensure_venv requirements-dev.lock
ensure_azurite
ensure_chromium
ensure_prometheus
.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/mypy --strict engine main.py
if (($#)); then
  exec .venv/bin/python -m pytest "$@"
fi
# Mostly waits for an index: beside the tests. Says what it cannot ask, where there is no way out.
nice bash ops/audit.sh &
audit=$!
# Tests that look at the machine's processes, or at the clock, run one by one, beside no others but
# those that do neither, which give way to them. The rest, which mostly wait for processes, run
# beside each other by whole files.
alone=(
  tests/integration/backends tests/integration/intake tests/integration/workers
  tests/integration/tasks tests/unit/tasks/test_checks.py tests/faults
)
patient=(
  tests/unit tests/integration/monitoring/test_alert_rules.py
  tests/integration/blobs tests/integration/features tests/integration/history
  tests/integration/retention tests/integration/rpc tests/integration/services
  tests/integration/store tests/integration/uploads tests/integration/web
)
# All of them, whatever the first finds: who mends wants to know all.
first=0 second=0 third=0
beside="$(mktemp -d)"
trap 'rm -rf -- "$beside"' EXIT
nice -n 19 .venv/bin/python -m pytest -o cache_dir="$beside/cache" "${patient[@]}" \
  --ignore=tests/unit/tasks/test_checks.py >"$beside/output" 2>&1 &
second_pid=$!
.venv/bin/python -m pytest --cache-clear "${alone[@]}" || first=$?
wait "$second_pid" || second=$?
cat "$beside/output"
.venv/bin/python -m pytest -n 4 --dist loadfile "${alone[@]/#/--ignore=}" "${patient[@]/#/--ignore=}" || third=$?
# 1 says that all tests ran and some failed. Those run once more, by themselves: they use real clocks
# and processes, and what only a busy machine makes fail is no finding. It is in the output all the same.
if ((first > 1 || second > 1 || third > 1)); then
  exit 2
fi
if ((second)); then
  .venv/bin/python -m pytest -o cache_dir="$beside/cache" --last-failed --last-failed-no-failures none
fi
if ((first || third)); then
  .venv/bin/python -m pytest --last-failed --last-failed-no-failures none
fi
wait "$audit"
