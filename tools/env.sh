# shellcheck shell=bash
# Sourced by every script: `source tools/env.sh`, or `VENV_EXTRAS="app dev" source tools/env.sh`.
#
# Without arguments: a sourced file has those of the script that sources it, which mean something else.
# Makes .venv beside this folder, installs requirements.txt and requirements-EXTRA.txt of VENV_EXTRAS into it
# under constraints.txt, once for each state of those files, and activates it. An active virtual
# environment is used as it is, nothing is installed into it.

_env_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

_env_install() {
  local venv="$_env_root/.venv" python="${PYTHON:-python3}" extra file stamp lock=""
  local -a files=("$_env_root/requirements.txt")
  for extra in ${VENV_EXTRAS:-}; do files+=("$_env_root/requirements-$extra.txt"); done
  if command -v flock > /dev/null; then   # two at once would install over each other
    exec {lock}< "$_env_root/requirements.txt"
    flock "$lock"
  fi
  if [ ! -x "$venv/bin/python" ]; then
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
      echo "error: $python is older than Python 3.10; name a newer one: PYTHON=python3.11 $0" >&2
      return 1
    }
    "$python" -m venv "$venv" || return 1
  fi
  for file in "${files[@]}"; do
    stamp="$(cat "$file" "$_env_root/constraints.txt" | cksum | cut -d ' ' -f 1)"
    stamp="$venv/.installed-$(basename "$file" .txt)-$stamp"
    [ -e "$stamp" ] && continue
    echo "installing $(basename "$file") into .venv (the first time takes a few minutes)" >&2
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check \
      --requirement "$file" --constraint "$_env_root/constraints.txt" || return 1
    touch "$stamp"
  done
  [ -z "$lock" ] || exec {lock}<&-
}

if [ -z "${VIRTUAL_ENV:-}" ]; then
  _env_install || exit 1
  # shellcheck disable=SC1091
  source "$_env_root/.venv/bin/activate"
fi
cd "$_env_root" || exit 1
