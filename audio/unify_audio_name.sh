#!/usr/bin/env bash
# audio/unify_audio_name.sh DIR [--ids F] [--dry-run]   {vid}.wav, 32 kHz mono, from any sound files; --help tells more
set -euo pipefail
here="$PWD"
# shellcheck source=tools/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/../tools/env.sh"
root="$PWD"
cd "$here"
exec python "$root/audio/unify_audio_name.py" "$@"
