#!/usr/bin/env bash
# Copy this checkout to a shared file system, and work dirs back, with rsync. An interrupted copy can be continued.
#
#   EFS_ROOT=/mnt/efs/project ./sync_efs.sh push [OPTIONS]    copy code and data/ to EFS_ROOT
#   EFS_ROOT=/mnt/efs/project ./sync_efs.sh pull [OPTIONS]    copy EFS_ROOT/work_dirs to work_dirs/
#
#   --dry-run    show what would be copied
#   --delete     also delete files at the target that no longer exist at the source (default: delete nothing)
#   --verify     compare the checksums of all files afterwards; exit with status 1 if any differs
#   --unmounted  allow EFS_ROOT on the root file system of this machine
#   --overwrite  pull: replace work dirs here that contain another training than those of the same name in EFS_ROOT
#
# Links that point outside the checkout are copied as the files that they point to.
set -euo pipefail

die() { printf 'error: %s\n' "$*" >&2; exit 2; }
usage() { sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "$0"; }

direction="" unmounted="" verify="" dry_run="" overwrite="" links=(--links --copy-unsafe-links)
options=(--archive "${links[@]}" --partial-dir=.rsync-partial --human-readable --no-owner --no-group)
for argument in "$@"; do
  case "$argument" in
    -h | --help) usage; exit 0 ;;
    push | pull) [ -z "$direction" ] || die "push or pull, not both"; direction="$argument" ;;
    --dry-run) dry_run=1; options+=(--dry-run --itemize-changes) ;;
    --delete) options+=(--delete) ;;
    --verify) verify=1 ;;
    --unmounted) unmounted=1 ;;
    --overwrite) overwrite=1 ;;
    *) die "$argument: unknown argument; see --help" ;;
  esac
done
[ -n "$direction" ] || { usage >&2; exit 2; }
[ -z "$dry_run$verify" ] || [ "$dry_run$verify" = 1 ] \
  || die "--dry-run copies nothing that --verify could compare; leave one of them out"
command -v rsync > /dev/null || die "rsync: not found; install it (Debian: apt-get install rsync)"
[ -n "${EFS_ROOT:-}" ] \
  || die "EFS_ROOT is not set; set it to the project's folder on the shared file system, e.g. EFS_ROOT=/mnt/efs/project"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
target="$(realpath -m "$EFS_ROOT")"
case "$target/" in "$root"/*) die "$EFS_ROOT: is inside $root; specify a folder outside" ;; esac

mount_point() {   # mount_point FOLDER: print where the file system of its nearest existing parent is mounted.
  local folder="$1"
  while [ ! -d "$folder" ]; do folder="$(dirname "$folder")"; done
  stat -c %m "$folder"
}
[ -n "$unmounted" ] || [ "$(mount_point "$target")" != / ] \
  || die "$EFS_ROOT: is on this machine's root file system, so the shared file system is not mounted there; mount it," \
    "or use --unmounted"

copy() {   # copy SOURCE_FOLDER TARGET_FOLDER [RSYNC OPTIONS]
  local source="$1" to="$2" listing different
  shift 2
  rsync "${options[@]}" "$@" "$source/" "$to/" \
    || die "the copy to $to failed (rsync status $?; is the target disk full?); copied files stay, run the command" \
      "again to continue"
  [ -n "$verify" ] || return 0
  listing="$(rsync --recursive "${links[@]}" --checksum --dry-run --out-format='%n' "$@" "$source/" "$to/")" \
    || die "$to could not be compared (rsync status $?), so nothing is verified; copied files stay, run the command" \
      "again"
  different="$(grep -v -e '/$' -e '^$' <<< "$listing" || true)"
  [ -z "$different" ] || { printf 'error: differs from its source: %s\n' "$different" >&2; exit 1; }
  echo "verified: $to equals its source"
}

run_id() {   # run_id FOLDER: print the id of the training in a work dir; nothing for those of earlier versions.
  cat "$1/.run_id" 2> /dev/null || true
}

check_trainings() {   # check_trainings FROM TO: refuse to replace a training in TO by another one of the same name.
  local best name different=()
  while IFS= read -r -d '' best; do
    name="$(dirname "${best#"$1/"}")"
    [ ! -e "$2/$name/best.pth" ] || [ "$(run_id "$1/$name")" = "$(run_id "$2/$name")" ] || different+=("$name")
  done < <(find "$1" -name best.pth -print0)
  [ "${#different[@]}" -eq 0 ] || die "work_dirs/${different[0]}: contains another training than $1/${different[0]};" \
    "rename it, or use --overwrite to replace it (work dirs that differ: ${#different[@]})"
}

if [ "$direction" = push ]; then
  [ -n "$dry_run" ] || mkdir -p "$target" || die "$target: cannot be created"
  copy "$root" "$target" --exclude=/.git --exclude=/.venv --exclude=/work_dirs --exclude=__pycache__ \
    --exclude='.*_cache' --exclude='.*.new.wav'
else
  [ -d "$target/work_dirs" ] || die "$target/work_dirs: does not exist, so nothing was trained there yet"
  [ -n "$overwrite" ] || check_trainings "$target/work_dirs" "$root/work_dirs"
  [ -n "$dry_run" ] || mkdir -p "$root/work_dirs"
  copy "$target/work_dirs" "$root/work_dirs"
fi
