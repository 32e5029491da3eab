"""Trains a config and writes its weights as one safetensors file.

  python tools/ship_head.py configs/tvsum/clip_it_offline_all.py --out checkpoints/clip_it_tvsum.safetensors
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.errors import InputError


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="a Python config")
    parser.add_argument("--out", required=True, help="the .safetensors file")
    parser.add_argument("--work-dir", help="as tools/launch.py has it")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    from safetensors.torch import save_file

    from common.files import atomic_path, make_folder
    from models.checkpoint import read_checkpoint
    from training.launcher import launch
    try:
        if Path(args.out).suffix != ".safetensors" or Path(args.out).is_dir():
            raise InputError(f"--out {args.out}: name a .safetensors file")
        make_folder(Path(args.out).resolve().parent)   # before the training, which takes minutes
        work_dir = Path(args.work_dir or Path("work_dirs") / Path(args.config).stem)
        launch(args.config, work_dir=str(work_dir))
        state = read_checkpoint(work_dir / "best.pth")["state_dict"]
        with atomic_path(args.out) as temporary:
            save_file({key: value.contiguous() for key, value in state.items()}, temporary)
    except InputError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; nothing is written", file=sys.stderr)
        return 130
    print(f"{args.out}: {Path(args.out).stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
