#!/usr/bin/env bash
# Copies this tree to a shared file system and work dirs back, by rsync; goes on where it was stopped.
#
#   EFS_ROOT=/mnt/efs/project ./sync_efs.sh push [--dry-run] [--delete] [--verify]    code, data/ -> EFS_ROOT
#   EFS_ROOT=/mnt/efs/project ./sync_efs.sh pull [--dry-run] [--delete] [--verify]    EFS_ROOT/work_dirs -> work_dirs/
#
#   --dry-run    show what would be copied
#   --delete     also remove at the target what is no longer at the source; nothing is removed else
#   --verify     compare by checksums afterwards, every file; exit status 1 where one differs
#   --unmounted  EFS_ROOT may lie on this machine's own disk, the one that is mounted at /
#
# Links that lead out of the tree arrive as what they point to.
set -euo pipefail

die() { printf 'error: %s\n' "$*" >&2; exit 2; }
usage() { sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "$0"; }

direction="" unmounted="" verify="" dry_run="" links=(--links --copy-unsafe-links)
options=(--archive "${links[@]}" --partial-dir=.rsync-partial --human-readable --no-owner --no-group)
for argument in "$@"; do
  case "$argument" in
    -h | --help) usage; exit 0 ;;
    push | pull) [ -z "$direction" ] || die "push or pull, not both"; direction="$argument" ;;
    --dry-run) dry_run=1; options+=(--dry-run --itemize-changes) ;;
    --delete) options+=(--delete) ;;
    --verify) verify=1 ;;
    --unmounted) unmounted=1 ;;
    *) die "$argument: unknown; --help tells more" ;;
  esac
done
[ -n "$direction" ] || { usage >&2; exit 2; }
[ -z "$dry_run$verify" ] || [ "$dry_run$verify" = 1 ] \
  || die "--dry-run copies nothing that --verify could compare; leave one of them out"
command -v rsync > /dev/null || die "rsync: not found; install it (Debian: apt-get install rsync)"
[ -n "${EFS_ROOT:-}" ] \
  || die "EFS_ROOT is not set; give the project's folder on the shared file system, e.g. EFS_ROOT=/mnt/efs/project"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
target="$(realpath -m "$EFS_ROOT")"
case "$target/" in "$root"/*) die "$EFS_ROOT: lies inside $root; name a folder outside" ;; esac

mount_of() {   # FOLDER, which may be missing: where the file system of its nearest parent is mounted
  local there="$1"
  while [ ! -d "$there" ]; do there="$(dirname "$there")"; done
  stat -c %m "$there"
}
[ -n "$unmounted" ] || [ "$(mount_of "$target")" != / ] \
  || die "$EFS_ROOT: lies on this machine's own disk, so the shared file system is not mounted there; mount it," \
    "or say --unmounted"

copy() {   # SOURCE TARGET [RSYNC OPTIONS]: both folders
  local source="$1" to="$2" listing differing
  shift 2
  rsync "${options[@]}" "$@" "$source/" "$to/" \
    || die "the copy to $to stopped (rsync's status $?; is its disk full?); what was copied stays, run it again for" \
      "the rest"
  [ -n "$verify" ] || return 0
  listing="$(rsync --recursive "${links[@]}" --checksum --dry-run --out-format='%n' "$@" "$source/" "$to/")" \
    || die "$to could not be compared (rsync's status $?), so nothing is verified; what was copied stays, run it again"
  differing="$(grep -v -e '/$' -e '^$' <<< "$listing" || true)"
  [ -z "$differing" ] || { printf 'error: differs from its source: %s\n' "$differing" >&2; exit 1; }
  echo "verified: $to equals its source"
}

if [ "$direction" = push ]; then
  [ -n "$dry_run" ] || mkdir -p "$target" || die "$target: cannot be written"
  copy "$root" "$target" --exclude=/.git --exclude=/.venv --exclude=/work_dirs --exclude=__pycache__ \
    --exclude='.*_cache' --exclude='.*.new.wav'
else
  [ -d "$target/work_dirs" ] || die "$target/work_dirs: nothing was trained there yet"
  [ -n "$dry_run" ] || mkdir -p "$root/work_dirs"
  copy "$target/work_dirs" "$root/work_dirs"
fi
