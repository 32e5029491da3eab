#!/usr/bin/env bash
# audio/extract_audio_feature.sh IN OUT [--encoder panns|offline] [--shard I/N]   Extract audio features; see --help.
set -euo pipefail
here="$PWD"
# shellcheck source=tools/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/../tools/env.sh"
root="$PWD"
cd "$here"
exec python "$root/audio/extract_audio_feature.py" "$@"
