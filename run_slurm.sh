#!/usr/bin/env bash
# Trains a config, or extracts features, on a Slurm cluster with a shared file system.
#
#   ./run_slurm.sh [OPTIONS] CONFIG [OPTIONS OF tools/launch.py]
#   ./run_slurm.sh [OPTIONS] --shards N extract IN... --out DIR [OPTIONS OF tools/extract_features.py]
#
# A training that is preempted or killed is requeued and goes on by itself. An extraction is an array of N
# jobs; the same command again submits those alone that have not ended well.
#
#   --nodes N      nodes (NODES, 1)                  --partition P  partition (PARTITION, the cluster's default)
#   --gpus N       GPUs a node (GPUS, 0)             --time T       limit, e.g. 12:00:00 (TIME, the partition's)
#   --tasks N      processes a node (TASKS, a GPU    --account A    account (ACCOUNT)
#                  each, or 1)                       --work-dir D   of the training (work_dirs/CONFIG's name)
#   --cpus N       CPUs a process (CPUS, 1)          --dry-run      show what would be submitted
#   --wait         wait until it has ended           --shards N     of an extraction
#
# Names in brackets are environment variables that do the same, and defaults. Paths count from this folder.
set -euo pipefail

die() { printf 'error: %s\n' "$*" >&2; exit 2; }
usage() { sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "$0"; }

nodes="${NODES:-1}" gpus="${GPUS:-0}" tasks="${TASKS:-}" cpus="${CPUS:-1}"
partition="${PARTITION:-}" time="${TIME:-}" account="${ACCOUNT:-}" work_dir="" shards="" dry_run="" wait=""

while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) usage; exit 0 ;;
    --dry-run) dry_run=1; shift; continue ;;
    --wait) wait=1; shift; continue ;;
    --nodes | --gpus | --tasks | --cpus | --partition | --time | --account | --work-dir | --shards)
      [ $# -ge 2 ] || die "$1 needs a value; --help tells more"
      name="${1#--}"
      printf -v "${name//-/_}" '%s' "$2"
      shift 2 ;;
    --*) die "unknown option $1 before the config; --help tells more" ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || { usage >&2; exit 2; }
for number in nodes gpus cpus tasks shards; do
  [[ "${!number}" =~ ^[0-9]*$ ]] || die "--$number ${!number}: not a whole number"
done
[ -n "$dry_run" ] || command -v sbatch > /dev/null \
  || die "sbatch: not found, so there is no Slurm on this machine; log in to a node that has it, or use ./run.sh"

root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cd "$root"
: "${tasks:=$([ "$gpus" -gt 0 ] && echo "$gpus" || echo 1)}"

options=(--requeue --open-mode=append --chdir="$root" --cpus-per-task="$cpus")
[ -z "$partition" ] || options+=(--partition="$partition")
[ -z "$time" ] || options+=(--time="$time")
[ -z "$account" ] || options+=(--account="$account")
[ "$gpus" -eq 0 ] || options+=(--gpus-per-node="$gpus")
[ -z "$wait" ] || options+=(--wait)

quoted() { printf '%q ' "$@"; }

submit() {   # NAME LOG COMMAND
  local script
  script="$(printf '%s\n' '#!/usr/bin/env bash' 'set -euo pipefail' 'source tools/env.sh' \
    "export OMP_NUM_THREADS=$cpus" "$3")"
  if [ -n "$dry_run" ]; then
    printf 'sbatch %s\n%s\n' "$(quoted "${options[@]}" --job-name="$1" --output="$2")" "$script"
    return
  fi
  mkdir -p "$(dirname "$2")" || die "$(dirname "$2"): cannot be made"
  local status=0
  printf '%s\n' "$script" | sbatch "${options[@]}" --job-name="$1" --output="$2" || status=$?
  if [ "$status" -ne 0 ]; then
    printf 'error: Slurm refused the job, or it failed (status %s); sinfo shows the partitions, %s what it printed\n' \
      "$status" "$2" >&2
    exit 2
  fi
}

train() {
  local config="$1"
  shift
  [ -f "$config" ] || die "$config: no such config; name a .py file, e.g. one under configs/"
  [ -n "$work_dir" ] || work_dir="work_dirs/$(basename "$config" .py)"
  options+=(--nodes="$nodes" --ntasks-per-node="$tasks")
  # Requeued or new, it goes on from the work dir's last.pth, where there is one.
  submit "$(basename "$config" .py)" "$work_dir/slurm-%j.log" \
    "srun --kill-on-bad-exit=1 python $(quoted tools/launch.py "$config" --launcher slurm \
      --work-dir "$work_dir" --resume "$@")"
}

extract() {
  [[ "$shards" =~ ^[1-9][0-9]*$ ]] || die "an extraction needs --shards N before 'extract', how many jobs share it"
  local out="" argument previous="" lacking=() shard state
  for argument in "$@"; do
    [ "$previous" != --out ] || out="$argument"
    previous="$argument"
  done
  [ -n "$out" ] || die "an extraction needs --out DIR, the folder of the features"
  state="$out/.shards/$(printf '%s\n' "$@" | cksum | cut -d ' ' -f 1)"
  for ((shard = 1; shard <= shards; shard++)); do
    [ -e "$state/$shard-of-$shards" ] || lacking+=("$shard")
  done
  if [ "${#lacking[@]}" -eq 0 ]; then
    echo "all $shards shards have ended well; nothing is left to do"
    return
  fi
  options+=(--nodes=1 --ntasks=1 --array="$(IFS=,; echo "${lacking[*]}")")
  # shellcheck disable=SC2016  # the job's own variable
  submit extract "$out/slurm-%A-%a.log" \
    "python $(quoted tools/extract_features.py "$@")--shard \"\$SLURM_ARRAY_TASK_ID/$shards\"
ended=$(quoted "$state")
mkdir -p \"\$ended\"
touch \"\$ended/\$SLURM_ARRAY_TASK_ID-of-$shards\""
}

if [ "$1" = extract ]; then
  shift
  extract "$@"
else
  train "$@"
fi
