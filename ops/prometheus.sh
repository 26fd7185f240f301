# Sourced by test.sh: gets Prometheus and promtool for the tests of ops/prometheus, once.
# Usage: ensure_prometheus
#
# Those on PATH are used if there are any; else Debian's package is unpacked into .tools/prometheus,
# where it is installed from nowhere and starts no service.

ensure_prometheus() {
    local folder=.tools/prometheus draft
    if [ -n "${WITHOUT_PROMETHEUS:-}" ] || [ -x "$folder/promtool" ]; then
        return
    fi
    if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
        return
    fi
    if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
        echo "The tests of ops/prometheus need prometheus and promtool on PATH." \
            "WITHOUT_PROMETHEUS=1 skips them." >&2
        return 1
    fi
    echo "Getting Prometheus into $folder (once) ..." >&2
    mkdir -p .tools
    draft="$(mktemp -d .tools/prometheus.XXXXXX)"
    # The list of packages may be missing on a new machine, or be older than the package.
    (cd "$draft" && apt-get -qq download prometheus) 2>/dev/null ||
        { apt-get -qq update && (cd "$draft" && apt-get -qq download prometheus); }
    dpkg-deb --extract "$draft"/prometheus_*.deb "$draft/unpacked"
    mkdir "$draft/programs"
    mv "$draft/unpacked/usr/bin/prometheus" "$draft/unpacked/usr/bin/promtool" "$draft/programs"
    # Last, and in one step: a copy that was broken off is not taken for a whole one.
    rm -rf "$folder"
    mv "$draft/programs" "$folder"
    rm -rf "$draft"
}
