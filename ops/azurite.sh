# Sourced by test.sh: installs the Azure Blob server of the tests (tests/azurite), once per content.
# Usage: ensure_azurite

ensure_azurite() {
    local folder=tests/azurite stamp=tests/azurite/node_modules/.installed-lock
    if [ -n "${WITHOUT_AZURITE:-}" ] || cmp --silent "$folder/package-lock.json" "$stamp"; then
        return
    fi
    if ! command -v npm >/dev/null; then
        echo "The tests of Azure Blob Storage need npm (Node.js). WITHOUT_AZURITE=1 skips them." >&2
        return 1
    fi
    echo "Installing Azurite into $folder/node_modules (once) ..." >&2
    npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --prefer-offline --loglevel=error >&2
    cp "$folder/package-lock.json" "$stamp"
}
