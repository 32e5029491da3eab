#!/usr/bin/env bash
# Train a config, or extract features, on a Slurm cluster with a shared file system.
#
#   ./run_slurm.sh [OPTIONS] CONFIG [OPTIONS OF tools/launch.py]
#   ./run_slurm.sh [OPTIONS] --shards N extract IN... --out DIR [OPTIONS OF tools/extract_features.py]
#
# A training that is preempted, killed, or close to its time limit is requeued and resumes automatically. Running the
# same command again continues the training in the work dir; use another --work-dir for a new one. An extraction is an
# array of N jobs. Running the same command again submits only the jobs that failed or whose videos have changed.
#
#   --nodes N      number of nodes (NODES, 1)        --partition P  partition (PARTITION, the cluster's default)
#   --gpus N       GPUs per node (GPUS, 0)           --time T       time limit, e.g. 12:00:00 (TIME, the partition's)
#   --tasks N      processes per node (TASKS, one    --account A    account (ACCOUNT)
#                  per GPU, or 1)                    --work-dir D   work dir of a training (work_dirs/<config name>)
#   --cpus N       CPUs per process (CPUS, 1)        --requeues N   how often a killed job is requeued (REQUEUES, 5)
#   --wait         wait until the job has ended      --shards N     number of jobs of an extraction
#   --dry-run      show what would be submitted
#
# Parentheses contain the environment variable that sets the same option, and the default. Paths are relative to the
# folder of this script. Config, labels and videos are checked before the job is submitted.
set -euo pipefail

die() { printf 'error: %s\n' "$*" >&2; exit 2; }
usage() { sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "$0"; }

nodes="${NODES:-1}" gpus="${GPUS:-0}" tasks="${TASKS:-}" cpus="${CPUS:-1}" requeues="${REQUEUES:-5}"
partition="${PARTITION:-}" time="${TIME:-}" account="${ACCOUNT:-}" work_dir="" shards="" dry_run="" wait=""
# These options must precede the config or `extract`.
leading_options=" --nodes --gpus --tasks --cpus --requeues --partition --time --account --shards --dry-run --wait "

set_option() {   # set_option --NAME VALUE
  local name="${1#--}"
  [ -n "$2" ] || die "$1 needs a value; see --help"
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
    --*) die "unknown option $1 before the config; see --help" ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || { usage >&2; exit 2; }
for number in nodes tasks cpus shards; do
  [[ "${!number}" =~ ^([1-9][0-9]*)?$ ]] || die "--$number ${!number}: not an integer of at least 1"
done
for number in gpus requeues; do
  [[ "${!number}" =~ ^[0-9]+$ ]] || die "--$number ${!number}: not an integer of at least 0"
done
target="$1"   # A config, or `extract`.
shift
tool_arguments=()
while [ $# -gt 0 ]; do
  case "$leading_options" in
    *" ${1%%=*} "*) die "${1%%=*} after $target: this is an option of run_slurm.sh, so put it before $target" ;;
  esac
  case "$target:$1" in
    extract:--shard | extract:--shard=*) die "--shard: each job of the array sets its own; leave it out" ;;
    extract:*) tool_arguments+=("$1") ;;
    *:--work-dir) set_option "$1" "${2:-}"; shift ;;
    *:--work-dir=*) set_option --work-dir "${1#*=}" ;;
    *) tool_arguments+=("$1") ;;
  esac
  shift
done
[ -n "$dry_run" ] || command -v sbatch > /dev/null \
  || die "sbatch: not found, so Slurm is not installed on this machine; log in to a node that has it, or use ./run.sh"

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

in_environment() {   # in_environment COMMAND...: run it here in the checkout's environment, outside of any Slurm job.
  (
    [ -z "${!SLURM_@}" ] || unset "${!SLURM_@}"
    source tools/env.sh
    "$@"
  )
}

# Print the first part of every job script. A killed process (status 128 or more) is not an error of the config, so the
# job is requeued unless it was canceled. Any other error of the program ends the job.
job_preamble() {
  cat << END
#!/usr/bin/env bash
set -euo pipefail
source tools/env.sh
export OMP_NUM_THREADS=$cpus MASTER_PORT=\$((20000 + SLURM_JOB_ID % 20000))
requeue() {   # requeue REASON
  local job="\${SLURM_ARRAY_JOB_ID:-\$SLURM_JOB_ID}\${SLURM_ARRAY_TASK_ID:+_\$SLURM_ARRAY_TASK_ID}"
  [ "\$(squeue -h -j "\$job" -o %T)" = RUNNING ] || exit 1
  echo "\$1, so this job is requeued" >&2
  scontrol requeue "\$job"
  exit 1
}
finish() {   # finish STATUS
  [ "\$1" -ge 128 ] || exit "\$1"
  if [ "\${SLURM_RESTART_COUNT:-0}" -ge $requeues ]; then
    echo "error: a process was killed (status \$1) after \${SLURM_RESTART_COUNT:-0} requeues; check its memory" >&2
    exit 1
  fi
  requeue "a process was killed (status \$1)"
}
END
}

submit() {   # submit NAME LOG JOB_SCRIPT
  local folder is_new_folder="" answer id log status=0
  folder="$(dirname "$2")"
  if [ -n "$dry_run" ]; then
    printf 'sbatch %s\n%s\n%s\n' "$(quoted "${options[@]}" --job-name="$1" --output="$2")" "$(job_preamble)" "$3"
    return
  fi
  [ -d "$folder" ] || is_new_folder=1
  mkdir -p "$folder" || die "$folder: cannot be created"
  {
    answer="$(printf '%s\n' "$(job_preamble)" "$3" | sbatch "${options[@]}" --job-name="$1" --output="$2" \
      | tee /dev/fd/3)" || status=$?
  } 3>&1
  [ "$status" -ne 0 ] || return 0
  id="$(grep -oE '[0-9]+' <<< "$answer" | head -n 1 || true)"
  if [ -z "$id" ]; then
    [ -z "$is_new_folder" ] || rmdir "$folder"
    die "Slurm refused the job (status $status); sinfo shows the partitions"
  fi
  log="${2/\%j/$id}"
  log="${log/\%A/$id}"
  die "job $id failed (status $status); see its output in ${log/\%a/*}"
}

check() {   # check CONFIG [OPTIONS]: report errors before the job is submitted.
  local config="$1" argument resume=(--resume)
  shift
  for argument in "$@"; do
    case "$argument" in
      --resume | --resume=*) die "--resume: a job resumes from its work dir's last.pth automatically; leave it out" ;;
      --overwrite)
        die "--overwrite: a requeued job would delete its own results; remove $work_dir, or specify another" \
          "--work-dir" ;;
      --eval) resume=() ;;
    esac
  done
  [ -n "$dry_run" ] || in_environment python tools/launch.py "$config" "$@" "${resume[@]}" --work-dir "$work_dir" \
    --check || exit 2
}

train() {   # train CONFIG [OPTIONS]
  local config="$1" name is_evaluation="" checkpoint="" launch_options=() start
  shift
  [ -z "$shards" ] || die "--shards is an option of an extraction; leave it out, or write 'extract' instead of $config"
  [ -f "$config" ] || die "$config: no such config; specify a .py file, e.g. one under configs/"
  name="$(basename "$config" .py)"
  [ -n "$work_dir" ] || work_dir="work_dirs/$name"
  check "$config" "$@"
  while [ $# -gt 0 ]; do
    case "$1" in
      --checkpoint) checkpoint="${2:-}"; shift ;;
      --checkpoint=*) checkpoint="${1#*=}" ;;
      --eval) is_evaluation=1; launch_options+=("$1") ;;
      *) launch_options+=("$1") ;;
    esac
    [ $# -eq 0 ] || shift
  done
  # A new or requeued job resumes from the work dir's newest checkpoint if there is one, else starts from --checkpoint.
  start="start=(--resume)"
  [ -z "$checkpoint" ] || start="start=(--resume --checkpoint $(quoted "$checkpoint"))"
  [ -z "$is_evaluation" ] || start="start=(--checkpoint $(quoted "$checkpoint"))"
  options+=(--nodes="$nodes" --ntasks-per-node="$tasks" --signal=B:USR1@120)
  submit "$name" "$work_dir/slurm-%j.log" "last=$(quoted "$work_dir/last.pth")
stamp() { stat -c %y \"\$last\" 2> /dev/null || true; }
before=\"\$(stamp)\"
near_time_limit() {   # Requeueing a job that completes no epoch within its time limit would never end.
  [ \"\$(stamp)\" = \"\$before\" ] || requeue 'the time limit is near'
  echo 'no epoch was completed within the time limit, so this job is not requeued; set a longer --time' >&2
}
trap near_time_limit USR1
$start
srun --kill-on-bad-exit=1 \
python $(quoted tools/launch.py "$config" --launcher slurm --work-dir "$work_dir")\"\${start[@]}\" \
$(quoted "${launch_options[@]}")&
task=\$!
while status=0; wait \"\$task\" || status=\$?; kill -0 \"\$task\" 2> /dev/null; do :; done   # The trap interrupts wait.
finish \"\$status\""
}

extract() {   # extract IN... --out DIR [OPTIONS]
  local out="" argument previous="" listing marks="" remaining=() shard mark
  [[ "$shards" =~ ^[1-9][0-9]*$ ]] || die "an extraction needs --shards N, the number of jobs, before 'extract'"
  for argument in "$@"; do
    [ "$previous" != --out ] || out="$argument"
    case "$argument" in --out=*) out="${argument#*=}" ;; esac
    previous="$argument"
  done
  [ -n "$out" ] || die "an extraction needs --out DIR, the folder of the features"
  listing="$(in_environment python tools/shards_left.py "$shards" "$@")" || exit 2
  while IFS=$'\t' read -r shard mark; do
    [ -z "$shard" ] || { remaining+=("$shard"); marks+="[$shard]=$mark "; }
  done <<< "$listing"
  if [ "${#remaining[@]}" -eq 0 ]; then
    echo "all $shards shards are complete for these videos; nothing is left to do"
    return
  fi
  options+=(--nodes=1 --ntasks=1 --array="$(IFS=,; echo "${remaining[*]}")")
  submit extract "$out/slurm-%A-%a.log" "completed=$(quoted "$out/.shards")
marks=($marks)   # The files that mark a shard as complete.
status=0
python $(quoted tools/extract_features.py "$@")--shard \"\$SLURM_ARRAY_TASK_ID/$shards\" || status=\$?
[ \"\$status\" -eq 0 ] || finish \"\$status\"
mkdir -p \"\$completed\"
touch \"\$completed/\${marks[\$SLURM_ARRAY_TASK_ID]}\""
}

if [ "$target" = extract ]; then
  extract "${tool_arguments[@]}"
else
  train "$target" "${tool_arguments[@]}"
fi
