"""Deprecated name of tools/measure_query_sensitivity.py, kept for one release."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools import measure_query_sensitivity


def main(argv: list[str] | None = None) -> int:
    print("warning: tools/measure_words.py is deprecated; use tools/measure_query_sensitivity.py", file=sys.stderr)
    return measure_query_sensitivity.main(argv)


if __name__ == "__main__":
    raise SystemExit(main())
