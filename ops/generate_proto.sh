#!/usr/bin/env bash
# Generates the Python modules of proto/ beside the .proto files, or under the folder named by $1.
# PYTHON names an interpreter that has grpcio-tools and purerpc.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="${PYTHON:-python}"
out="${1:-.}"
PATH="$(dirname "$(command -v "$python")"):$PATH" # the plugin starts `python`
export PATH
exec "$python" -m grpc_tools.protoc -I. \
  --python_out="$out" --pyi_out="$out" --purerpc_out="$out" \
  --plugin=protoc-gen-purerpc=ops/protoc-gen-purerpc proto/trellis/v1/*.proto proto/inference/*.proto
