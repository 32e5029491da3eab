# shellcheck shell=bash
# Source this file to set up the Python environment: `source tools/env.sh`, or, to install optional dependencies,
# `VENV_EXTRAS="app dev" source tools/env.sh`. It takes no arguments, because a sourced file sees the arguments of the
# calling script.
#
# It creates .venv in the root of the checkout, installs requirements.txt and requirements-EXTRA.txt of each extra under
# constraints.txt, once for each version of those files, and activates the environment. An active virtual environment
# is used instead, and nothing is installed into it.

_env_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

_env_install() {
  local venv="$_env_root/.venv" python="${PYTHON:-python3}" extra file stamp lock=""
  local -a files=("$_env_root/requirements.txt")
  for extra in ${VENV_EXTRAS:-}; do files+=("$_env_root/requirements-$extra.txt"); done
  if command -v flock > /dev/null; then   # Two simultaneous installations would corrupt each other.
    exec {lock}< "$_env_root/requirements.txt"
    flock "$lock"
  fi
  if [ ! -x "$venv/bin/python" ]; then
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
      echo "error: $python is older than Python 3.10; select a newer one: PYTHON=python3.11 $0" >&2
      return 1
    }
    "$python" -m venv "$venv" || return 1
  fi
  for file in "${files[@]}"; do
    stamp="$(cat "$file" "$_env_root/constraints.txt" | cksum | cut -d ' ' -f 1)"
    stamp="$venv/.installed-$(basename "$file" .txt)-$stamp"
    [ -e "$stamp" ] && continue
    echo "installing $(basename "$file") into .venv (this takes a few minutes the first time)" >&2
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
