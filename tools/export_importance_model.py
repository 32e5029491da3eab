"""Train the config of an importance model and export its weights as one safetensors file.

Example:
    python tools/export_importance_model.py configs/tvsum/clip_it_offline_all.py --out importance.safetensors
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.cli import ArgumentParser, run
from common.errors import InputError


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("config", help="a Python config")
    parser.add_argument("--out", required=True, help="the .safetensors file to write")
    parser.add_argument("--work-dir", help="folder of the training (default: work_dirs/<name of the config>)")
    return parser.parse_args(argv)


def export(config: str, out: str, work_dir: str | None = None) -> None:
    """Train a config and write its best weights.

    Args:
        config: a Python config.
        out: the .safetensors file to write.
        work_dir: folder of the training, see `training.launcher.launch`.

    Raises:
        InputError: `out` cannot be written, or the training fails.
    """
    from safetensors.torch import save_file

    from common.files import atomic_path, make_folder
    from models.checkpoint import read_checkpoint
    from training.launcher import launch
    from training.run_dir import RunDir

    if Path(out).suffix != ".safetensors" or Path(out).is_dir():
        raise InputError(None, f"--out {out}: not a .safetensors file", "specify a .safetensors file")
    make_folder(Path(out).resolve().parent)   # A problem must show before the training, which takes minutes.
    used = [RunDir.of_config(config, work_dir).path]
    launch(config, work_dir=work_dir, on_work_dir=used.append)   # It uses another folder if this one has results.
    state = read_checkpoint(RunDir(used[-1]).best)["state_dict"]
    with atomic_path(out) as temporary:
        save_file({key: value.contiguous() for key, value in state.items()}, temporary)
    print(f"{out}: {Path(out).stat().st_size / 1e6:.2f} MB")


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    return run(lambda: export(args.config, args.out, args.work_dir), interrupted="Interrupted. Nothing was written.")


if __name__ == "__main__":
    raise SystemExit(main())
