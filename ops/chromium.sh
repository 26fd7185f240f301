# Sourced by test.sh: installs the browser of the Console's tests from the system's packages, once.
# Usage: ensure_chromium

ensure_chromium() {
    if [ -n "${WITHOUT_CHROMIUM:-}" ] || command -v chromium >/dev/null; then
        return
    fi
    if ! command -v apt-get >/dev/null; then
        echo "No Chromium and no apt-get: the Console is not tested in a browser." >&2
        export WITHOUT_CHROMIUM="there is neither a chromium nor an apt-get to install it"
        return
    fi
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "The tests of the Console need chromium: install it, or set WITHOUT_CHROMIUM." >&2
            return 1
        fi
        as_root=(sudo -n)
    fi
    echo "Installing chromium (once) ..." >&2
    local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-liberation)
    # The lists of packages may be missing, or older than what is there.
    "${install[@]}" >/dev/null 2>&1 || { "${as_root[@]}" apt-get update -qq >/dev/null && "${install[@]}" >/dev/null; }
}
