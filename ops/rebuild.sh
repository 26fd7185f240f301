#!/usr/bin/env bash
# Tears the containers of compose.yml down and builds them again; their data stays.
# Usage: bash ops/rebuild.sh [--engine] [--wipe [--yes]] [--dry-run]
#   --engine   with the engine as a container; without it runs on the host (bash ops/run.sh)
#   --wipe     also removes the volumes, after a confirmation that names what is lost
#   --yes      does not ask; for machines
#   --dry-run  prints every command, and runs none
# The files of configs/ are checked first. Running it again does the same again.
set -euo pipefail

readonly VOLUMES=(
    "redis: the queue of jobs; those that are not done are queued again from the engine's data file"
    "kafka: all events that the engine has not taken in"
    "azurite: artifacts of models stored there"
    "prometheus: all metrics and the history of alerts"
    "grafana: users, and what was changed by hand"
    "engine: the data file of the engine's container, with events, models and predictions"
)

engine="" wipe="" yes="" dry_run=""
for argument in "$@"; do
    case "$argument" in
        --engine) engine=1 ;;
        --wipe) wipe=1 ;;
        --yes) yes=1 ;;
        --dry-run) dry_run=1 ;;
        -h | --help)
            sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        *)
            echo "rebuild.sh: unknown option $argument; see --help" >&2
            exit 2
            ;;
    esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
compose=(docker compose --profile engine)
wanted=(redis kafka azurite prometheus grafana)
[ -z "$engine" ] || wanted+=(engine)

fail() {
    printf 'rebuild.sh: %s\n' "$@" >&2
    exit 1
}

run() {
    if [ -n "$dry_run" ]; then
        printf '+'
        printf ' %q' "$@"
        printf '\n'
    else
        "$@"
    fi
}

# The last uncommented value of a key in an env file, as Docker takes it: without blanks and quotes
# around it. Nothing if there is none.
value_of() {
    [ ! -r "$1" ] ||
        sed -n "s/^[[:space:]]*$2=[[:space:]]*//p" "$1" | tail -n 1 |
        sed -e 's/[[:space:]]*$//' -e "s/^\([\"']\)\(.*\)\1\$/\2/"
}

check_environment() {
    local file problems=()
    for file in configs/*.env configs/containers/*.env; do
        [ -e "$file" ] || continue
        while IFS= read -r line; do
            # The line is not shown: it may hold what is secret.
            problems+=("$file: line ${line%%:*} is not KEY=VALUE")
        done < <(grep -nvE '^[[:space:]]*(#.*)?$|^[A-Z_][A-Z0-9_]*=' "$file")
    done
    if [ -z "$(value_of configs/containers/grafana.env GF_SECURITY_ADMIN_PASSWORD)" ]; then
        problems+=("configs/containers/grafana.env: set GF_SECURITY_ADMIN_PASSWORD")
    fi
    if [ -n "$engine" ] &&
        [ -z "$(value_of configs/containers/engine.env TRELLIS_SECURITY__AUTH_TOKEN)" ]; then
        problems+=("configs/containers/engine.env: set TRELLIS_SECURITY__AUTH_TOKEN")
    fi
    [ ${#problems[@]} -eq 0 ] || fail "${problems[@]}"
    # What the values mean the engine knows; where it is not installed, it says so when it starts.
    if [ -x .venv/bin/python ]; then
        .venv/bin/python main.py check-config >/dev/null || fail "the files of configs/ cannot be used"
    fi
}

confirm_wipe() {
    local answer
    printf 'These volumes are removed, and nothing brings their content back:\n' >&2
    printf '  %s\n' "${VOLUMES[@]}" >&2
    [ -z "$yes$dry_run" ] || return 0
    [ -t 0 ] ||
        fail "--wipe without a terminal needs --yes"
    printf 'Type "wipe" to go on: ' >&2
    read -r answer || answer=""
    [ "$answer" = wipe ] || fail "nothing was done"
}

check_environment
[ -z "$wipe" ] || confirm_wipe
if [ -z "$dry_run" ]; then
    command -v docker >/dev/null || fail "docker is not on PATH"
    docker compose version >/dev/null 2>&1 || fail "docker has no compose plugin; install it"
    docker info >/dev/null 2>&1 || fail "no Docker engine answers; start it, or see DOCKER_HOST"
fi

run "${compose[@]}" config --quiet
run "${compose[@]}" down --remove-orphans --timeout 30 ${wipe:+--volumes}
run "${compose[@]}" pull --ignore-buildable "${wanted[@]}"
[ -z "$engine" ] || run "${compose[@]}" build --pull engine
# Waits until every health check passes, and fails if one does not.
if ! run "${compose[@]}" up --detach --wait --wait-timeout 180 "${wanted[@]}"; then
    "${compose[@]}" ps --all >&2
    fail "not everything is healthy; look with: docker compose logs SERVICE"
fi

[ -z "$dry_run" ] || exit 0
cat <<'TEXT'
redis       redis://127.0.0.1:6379/0
kafka       127.0.0.1:9092
azurite     http://127.0.0.1:10000
prometheus  http://127.0.0.1:9090
grafana     http://127.0.0.1:3000
TEXT
if [ -n "$engine" ]; then
    echo "engine      http://127.0.0.1:9464, gRPC on 127.0.0.1:50051, 50052 and 50054"
    grep -v '^ *#' ops/prometheus/targets/engine.yml | grep -q engine:9464 ||
        echo "Prometheus does not scrape it: put engine:9464 into ops/prometheus/targets/engine.yml" >&2
else
    echo "engine      REDIS_URL=redis://127.0.0.1:6379/0 KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 bash ops/run.sh"
fi
