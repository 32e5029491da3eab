#!/usr/bin/env bash
# ./test.sh [PYTEST OPTIONS]   sets up and runs the tests
# ./test.sh slow               the slow ones: whole flows
set -euo pipefail

case "${1:-}" in
  -h | --help) sed -n '2,3s/^# //p' "$0"; exit 0 ;;
esac

VENV_EXTRAS="app dev" source "$(dirname "${BASH_SOURCE[0]}")/tools/env.sh"

# a process a core, each with a file of tests at a time, is faster than threads inside operations, which wait for each other
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
if [ "${1:-}" = slow ]; then
  shift
  [ $# -eq 0 ] || exec python -m pytest -m slow -n 2 --dist loadfile "$@"
  status=0   # a browser takes both cores
  python -m pytest -m slow tests/page/test_browser.py || status=$?
  python -m pytest -m slow -n 2 --dist loadfile --ignore tests/page/test_browser.py || status=$?
  exit "$status"
fi
ruff check .
exec python -m pytest -m "not slow" -n auto --dist loadfile "$@"
