#!/usr/bin/env bash
# audio/unify_audio_name.sh DIR [--ids F] [--dry-run]   Convert audio files to {vid}.wav, 32 kHz mono; see --help.
set -euo pipefail
here="$PWD"
# shellcheck source=tools/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/../tools/env.sh"
root="$PWD"
cd "$here"
exec python "$root/audio/unify_audio_name.py" "$@"
