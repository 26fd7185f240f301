# Sourced by run.sh and test.sh: makes .venv and installs a lock file into it, once per content.
# Usage: ensure_venv LOCK_FILE

ensure_venv() {
    local lock="$1" python stamp
    python="${PYTHON:-}"
    if [ -z "$python" ]; then
        for candidate in python3 python3.13 python3.12 python3.11; do
            if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
                python="$candidate"
                break
            fi
        done
    fi
    if [ -z "$python" ]; then
        echo "Trellis needs Python 3.11 or newer; none was found. Set PYTHON=/path/to/python." >&2
        return 1
    fi
    # Where venv lacks a package of the system's, it leaves an interpreter without pip behind.
    [ -x .venv/bin/pip ] || "$python" -m venv .venv
    stamp=".venv/installed-$lock"
    if ! cmp --silent "$lock" "$stamp"; then
        echo "Installing $lock into .venv (once) ..." >&2
        .venv/bin/python -m pip install --quiet --disable-pip-version-check \
            --only-binary :all: --require-hashes --requirement "$lock"
        cp "$lock" "$stamp"
    fi
}
