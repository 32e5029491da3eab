#!/usr/bin/env bash
# Trains a config, or extracts features, on a Slurm cluster with a shared file system.
#
#   ./run_slurm.sh [OPTIONS] CONFIG [OPTIONS OF tools/launch.py]
#   ./run_slurm.sh [OPTIONS] --shards N extract IN... --out DIR [OPTIONS OF tools/extract_features.py]
#
# A training that is preempted, killed or near its time limit is requeued and goes on by itself. An extraction is an
# array of N jobs; the same command again submits those alone that have not ended well, or whose videos are not the
# same as then.
#
#   --nodes N      nodes (NODES, 1)                  --partition P  partition (PARTITION, the cluster's default)
#   --gpus N       GPUs a node (GPUS, 0)             --time T       limit, e.g. 12:00:00 (TIME, the partition's)
#   --tasks N      processes a node (TASKS, a GPU    --account A    account (ACCOUNT)
#                  each, or 1)                       --work-dir D   of the training (work_dirs/CONFIG's name)
#   --cpus N       CPUs a process (CPUS, 1)          --requeues N   how often one that was killed begins again
#   --wait         wait until it has ended                          (REQUEUES, 5)
#   --dry-run      show what would be submitted      --shards N     of an extraction
#
# Names in brackets are environment variables that do the same, and defaults. Paths count from this folder. What is
# to be trained or extracted is looked at before it is submitted.
set -euo pipefail

die() { printf 'error: %s\n' "$*" >&2; exit 2; }
usage() { sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "$0"; }

nodes="${NODES:-1}" gpus="${GPUS:-0}" tasks="${TASKS:-}" cpus="${CPUS:-1}" requeues="${REQUEUES:-5}"
partition="${PARTITION:-}" time="${TIME:-}" account="${ACCOUNT:-}" work_dir="" shards="" dry_run="" wait=""
own=" --nodes --gpus --tasks --cpus --requeues --partition --time --account --shards --dry-run --wait "

set_option() {   # --NAME VALUE
  local name="${1#--}"
  [ -n "$2" ] || die "$1 needs a value; --help tells more"
  printf -v "${name//-/_}" '%s' "$2"
}

while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) usage; exit 0 ;;
    --dry-run) dry_run=1; shift ;;
    --wait) wait=1; shift ;;
    --nodes | --gpus | --tasks | --cpus | --requeues | --partition | --time | --account | --work-dir | --shards)
      set_option "$1" "${2:-}"
      shift 2 ;;
    --nodes=* | --gpus=* | --tasks=* | --cpus=* | --requeues=* | --partition=* | --time=* | --account=* | --work-dir=* \
      | --shards=*)
      set_option "${1%%=*}" "${1#*=}"
      shift ;;
    --*) die "unknown option $1 before the config; --help tells more" ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || { usage >&2; exit 2; }
for number in nodes tasks cpus shards; do
  [[ "${!number}" =~ ^([1-9][0-9]*)?$ ]] || die "--$number ${!number}: not a whole number from 1"
done
for number in gpus requeues; do
  [[ "${!number}" =~ ^[0-9]+$ ]] || die "--$number ${!number}: not a whole number"
done
what="$1"
shift
rest=()   # of the arguments, for the tool
while [ $# -gt 0 ]; do
  case "$own" in
    *" ${1%%=*} "*) die "${1%%=*} after $what: it is an option of this script, so put it before $what" ;;
  esac
  case "$what:$1" in
    extract:--shard | extract:--shard=*) die "--shard: every job of the array has its own; leave it out" ;;
    extract:*) rest+=("$1") ;;
    *:--work-dir) set_option "$1" "${2:-}"; shift ;;
    *:--work-dir=*) set_option --work-dir "${1#*=}" ;;
    *) rest+=("$1") ;;
  esac
  shift
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

quoted() { [ $# -eq 0 ] || printf '%q ' "$@"; }

tool() {   # COMMAND...: with the tree's Python, here, whatever job this shell belongs to
  (
    [ -z "${!SLURM_@}" ] || unset "${!SLURM_@}"
    source tools/env.sh
    "$@"
  )
}

# What a job begins with. A process that was killed (status 128 and more) is no fault of the config, so the job goes
# back into the queue, unless it was cancelled; errors of the program end it.
beginning() {
  cat << END
#!/usr/bin/env bash
set -euo pipefail
source tools/env.sh
export OMP_NUM_THREADS=$cpus MASTER_PORT=\$((20000 + SLURM_JOB_ID % 20000))
again() {   # WHY
  local job="\${SLURM_ARRAY_JOB_ID:-\$SLURM_JOB_ID}\${SLURM_ARRAY_TASK_ID:+_\$SLURM_ARRAY_TASK_ID}"
  [ "\$(squeue -h -j "\$job" -o %T)" = RUNNING ] || exit 1
  echo "\$1, so this job is requeued" >&2
  scontrol requeue "\$job"
  exit 1
}
ended() {   # STATUS
  [ "\$1" -ge 128 ] || exit "\$1"
  if [ "\${SLURM_RESTART_COUNT:-0}" -ge $requeues ]; then
    echo "error: a process was killed (status \$1) after \${SLURM_RESTART_COUNT:-0} requeues; is memory short?" >&2
    exit 1
  fi
  again "a process was killed (status \$1)"
}
END
}

submit() {   # NAME LOG JOB
  local folder made="" answer id status=0
  folder="$(dirname "$2")"
  if [ -n "$dry_run" ]; then
    printf 'sbatch %s\n%s\n%s\n' "$(quoted "${options[@]}" --job-name="$1" --output="$2")" "$(beginning)" "$3"
    return
  fi
  [ -d "$folder" ] || made=1
  mkdir -p "$folder" || die "$folder: cannot be made"
  {
    answer="$(printf '%s\n' "$(beginning)" "$3" | sbatch "${options[@]}" --job-name="$1" --output="$2" \
      | tee /dev/fd/3)" || status=$?
  } 3>&1
  [ "$status" -ne 0 ] || return 0
  id="$(grep -oE '[0-9]+' <<< "$answer" | head -n 1 || true)"
  if [ -z "$id" ]; then
    [ -z "$made" ] || rmdir "$folder"
    die "Slurm refused the job (status $status); sinfo shows the partitions"
  fi
  answer="${2/\%j/$id}"
  answer="${answer/\%A/$id}"
  die "job $id failed (status $status); ${answer/\%a/*} has what it printed"
}

train() {   # CONFIG [OPTIONS]
  local config="$1" name evaluates="" checkpoint="" given=() begin
  shift
  [ -z "$shards" ] || die "--shards is of an extraction; leave it out, or name 'extract' in place of $config"
  [ -f "$config" ] || die "$config: no such config; name a .py file, e.g. one under configs/"
  [ -n "$dry_run" ] || tool python tools/launch.py "$config" "$@" --check || exit 2
  while [ $# -gt 0 ]; do
    case "$1" in
      --resume | --resume=*) die "--resume: a job goes on from its work dir's last.pth by itself; leave it out" ;;
      --checkpoint) checkpoint="${2:-}"; shift ;;
      --checkpoint=*) checkpoint="${1#*=}" ;;
      --eval) evaluates=1; given+=("$1") ;;
      *) given+=("$1") ;;
    esac
    [ $# -eq 0 ] || shift
  done
  name="$(basename "$config" .py)"
  [ -n "$work_dir" ] || work_dir="work_dirs/$name"
  # Requeued or new, it goes on from the work dir's last.pth, where there is one; a checkpoint is what it begins with.
  begin="begin=(--resume)"
  [ -z "$checkpoint" ] || begin+="; [ -e \"\$last\" ] || begin=(--checkpoint $(quoted "$checkpoint"))"
  [ -z "$evaluates" ] || begin="begin=(--checkpoint $(quoted "$checkpoint"))"
  options+=(--nodes="$nodes" --ntasks-per-node="$tasks" --signal=B:USR1@120)
  submit "$name" "$work_dir/slurm-%j.log" "last=$(quoted "$work_dir/last.pth")
stamp() { stat -c %y \"\$last\" 2> /dev/null || true; }
before=\"\$(stamp)\"
near_the_limit() {   # a job that ends no epoch within its limit would never come to an end
  [ \"\$(stamp)\" = \"\$before\" ] || again 'the time limit is near'
  echo 'no epoch ended within the time limit, so this job is not requeued; ask for more by --time' >&2
}
trap near_the_limit USR1
$begin
srun --kill-on-bad-exit=1 \
python $(quoted tools/launch.py "$config" --launcher slurm --work-dir "$work_dir")\"\${begin[@]}\" \
$(quoted "${given[@]}")&
task=\$!
while status=0; wait \"\$task\" || status=\$?; kill -0 \"\$task\" 2> /dev/null; do :; done   # the trap ends wait
ended \"\$status\""
}

extract() {   # IN... --out DIR [OPTIONS]
  local out="" argument previous="" left marks="" lacking=() shard mark
  [[ "$shards" =~ ^[1-9][0-9]*$ ]] || die "an extraction needs --shards N before 'extract', how many jobs share it"
  for argument in "$@"; do
    [ "$previous" != --out ] || out="$argument"
    case "$argument" in --out=*) out="${argument#*=}" ;; esac
    previous="$argument"
  done
  [ -n "$out" ] || die "an extraction needs --out DIR, the folder of the features"
  left="$(tool python tools/shards_left.py "$shards" "$@")" || exit 2
  while IFS=$'\t' read -r shard mark; do
    [ -z "$shard" ] || { lacking+=("$shard"); marks+="[$shard]=$mark "; }
  done <<< "$left"
  if [ "${#lacking[@]}" -eq 0 ]; then
    echo "all $shards shards have ended well on these videos; nothing is left to do"
    return
  fi
  options+=(--nodes=1 --ntasks=1 --array="$(IFS=,; echo "${lacking[*]}")")
  submit extract "$out/slurm-%A-%a.log" "ended=$(quoted "$out/.shards")
marks=($marks)   # what stands there once a job has ended well
status=0
python $(quoted tools/extract_features.py "$@")--shard \"\$SLURM_ARRAY_TASK_ID/$shards\" || status=\$?
[ \"\$status\" -eq 0 ] || ended \"\$status\"
mkdir -p \"\$ended\"
touch \"\$ended/\${marks[\$SLURM_ARRAY_TASK_ID]}\""
}

if [ "$what" = extract ]; then
  extract "${rest[@]}"
else
  train "$what" "${rest[@]}"
fi
