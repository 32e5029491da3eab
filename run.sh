#!/usr/bin/env bash
# ./run.sh                     generate the sample set, train and evaluate on it, and summarize a held-out video;
#                              a repeated run keeps the results of earlier ones and writes to work_dirs/sample_1, ...
# ./run.sh CONFIG [OPTIONS]    train CONFIG with the options of tools/launch.py
# ./run.sh --gpus N CONFIG     train with N processes, one per GPU, or on the CPU if there is no GPU (or set GPUS=N)
# ./run.sh app [OPTIONS]       start the web page with the options of tools/app.py
set -euo pipefail

die() { printf 'error: %s\n' "$*" >&2; exit 2; }

gpus="${GPUS:-1}"
case "${1:-}" in
  -h | --help) sed -n '2,6s/^# //p' "$0"; exit 0 ;;
  --gpus)
    [ $# -ge 2 ] || die "--gpus needs a number; see --help"
    gpus="$2"
    shift 2 ;;
esac
[[ "$gpus" =~ ^[1-9][0-9]*$ ]] || die "--gpus $gpus: not an integer of at least 1"

if [ "${1:-}" = app ]; then
  VENV_EXTRAS="app" source "$(dirname "${BASH_SOURCE[0]}")/tools/env.sh"
  shift
  exec python tools/app.py "$@"
fi
source "$(dirname "${BASH_SOURCE[0]}")/tools/env.sh"

launch() {   # launch CONFIG [OPTIONS]
  if [ "$gpus" -eq 1 ]; then
    python tools/launch.py "$@"
    return
  fi
  local available
  available="$(python -c 'import torch; print(torch.cuda.device_count())')"
  [ "$available" -eq 0 ] || [ "$available" -ge "$gpus" ] \
    || die "--gpus $gpus: this machine has $available; use at most that many"
  [ "$available" -gt 0 ] || echo "this machine has no GPU, so $gpus processes share its CPU" >&2
  python tools/launch.py "$@" --check   # One process reports an invalid config before all of them would.
  python -m torch.distributed.run --standalone --nproc_per_node="$gpus" tools/launch.py "$@"
}

if [ $# -gt 0 ]; then
  [ "$gpus" -gt 1 ] || exec python tools/launch.py "$@"
  launch "$@"
  exit
fi

config=configs/sample/umt_sample.py
work_dir=work_dirs/sample

step() { printf '\n== %s\n' "$*" >&2; }

step "1/4 generate the sample set -> data/sample"
python tools/make_sample.py --out data/sample

step "2/4 extract features -> data/sample/features"
python tools/extract_features.py data/sample/videos --labels data/sample/{train,val,test}.jsonl \
  --out data/sample/features --encoders offline

step "3/4 train and evaluate -> $work_dir"
used="$(mktemp)"
trap 'rm -f "$used"' EXIT
launch "$config" --work-dir "$work_dir" --work-dir-file "$used"
work_dir="$(cat "$used")"   # work_dirs/sample_1, ... if work_dirs/sample contains an earlier run.

step "4/4 summarize a held-out video -> $work_dir/summary.mp4"
read -r vid query < <(python - <<'EOF'
import json
label = json.loads(open("data/sample/test.jsonl").readline())
print(label["vid"], label["query"])
EOF
)
python tools/summarize.py "data/sample/videos/$vid.mp4" --text "$query" --subtitles "data/sample/subtitles/$vid.srt" \
  --config "$config" --checkpoint "$work_dir/best.pth" --out "$work_dir"

step "done"
printf 'metrics   %s\nreport    %s\nsummary   %s\ncurves    %s\n' \
  "$work_dir/metrics.json" "$work_dir/report.html" "$work_dir/summary.mp4" "$work_dir/curves.png"
