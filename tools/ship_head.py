"""Deprecated name of tools/export_importance_model.py, kept for one release."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools import export_importance_model


def main(argv: list[str] | None = None) -> int:
    print("warning: tools/ship_head.py is deprecated; use tools/export_importance_model.py", file=sys.stderr)
    return export_importance_model.main(argv)


if __name__ == "__main__":
    raise SystemExit(main())
