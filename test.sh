#!/usr/bin/env bash
# ./test.sh                    set up the environment, then run ruff and the quick tests
# ./test.sh PYTEST_OPTIONS     run ruff and the quick tests that the options select
# ./test.sh lint               run all linters: ruff, codespell, lint-imports, mypy, and shellcheck if it is installed
# ./test.sh slow               run the slow tests, which cover complete workflows
set -euo pipefail

case "${1:-}" in
  -h | --help) sed -n '2,5s/^# //p' "$0"; exit 0 ;;
esac

VENV_EXTRAS="app dev" source "$(dirname "${BASH_SOURCE[0]}")/tools/env.sh"

# One single-threaded process per core, with a test file at a time, is faster than multithreaded operations that compete
# for the cores.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
if [ "${1:-}" = slow ]; then
  shift
  [ $# -eq 0 ] || exec python -m pytest -m slow -n 2 --dist loadfile "$@"
  status=0
  python -m pytest -m slow tests/page/test_browser.py || status=$?   # A browser uses two cores by itself.
  python -m pytest -m slow -n 2 --dist loadfile --no-loadscope-reorder --ignore tests/page/test_browser.py || status=$?
  exit "$status"
fi
ruff check .
if [ "${1:-}" = lint ]; then
  codespell
  lint-imports
  mypy
  ! command -v shellcheck > /dev/null || shellcheck -x ./*.sh audio/*.sh tools/env.sh .ci/run
  exit
fi
exec python -m pytest -m "not slow" -n auto --dist loadfile "$@"
