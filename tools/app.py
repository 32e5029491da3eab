#!/usr/bin/env python
"""Starts the page in the browser: choose a video, say what you look for, get the moments and a cut.

    ./run.sh app                                          # http://127.0.0.1:7860, for this machine alone
    ./run.sh app --videos recordings/                     # and a folder of videos to choose from
    ./run.sh app --model configs/mine.py work_dirs/mine/best.pth
    ./run.sh app --host 0.0.0.0 --upload-limit 500MB --length-limit 1h     # for others in the network too

Exit status: 0 after Ctrl-C; 2 it could not start, the reason is on stderr.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.errors import InputError

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", metavar="H",
                        help="address to listen on (default: %(default)s, this machine alone)")
    parser.add_argument("--port", type=int, default=7860, metavar="N", help="default: %(default)s; 0 takes a free one")
    parser.add_argument("--videos", type=Path, metavar="DIR", help="folder whose videos everybody may choose")
    parser.add_argument("--model", nargs=2, action="append", default=[], metavar=("CONFIG", "CHECKPOINT"),
                        help="a model that you trained; may be given several times, the first is the default")
    parser.add_argument("--upload-limit", default="2GB", metavar="SIZE", help="of a video (default: %(default)s)")
    parser.add_argument("--length-limit", default="3h", metavar="TIME", help="of a video (default: %(default)s)")
    parser.add_argument("--keep", default="1h", metavar="TIME",
                        help="a user's files go so long after their last use (default: %(default)s)")
    parser.add_argument("--no-example", action="store_true", help="no example on the first screen")
    return parser.parse_args(argv)


def read_time(option: str, text: str) -> float:
    """Seconds of a time such as 90s, 30m or 3h; an InputError for anything else."""
    from pipelines.options import parse_budget
    try:
        time = parse_budget(text)
    except InputError:
        time = None
    if not isinstance(time, timedelta):
        raise InputError(f"{option} {text}: no time; write e.g. 90s, 30m or 3h")
    return time.total_seconds()


def run(args: argparse.Namespace) -> int:
    from page.limits import Limits, parse_bytes
    limits = Limits(upload_bytes=parse_bytes(args.upload_limit), video_s=read_time("--length-limit", args.length_limit),
                    keep_s=read_time("--keep", args.keep))
    if args.videos is not None and not args.videos.is_dir():
        raise InputError(f"--videos {args.videos}: no such folder")
    listener = listen(args.host, args.port)
    print("loading ...", file=sys.stderr)
    from page.launch import serve
    serve(listener, args.host, limits, args.videos, args.model, not args.no_example)
    return 0


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, so that a port in use shows before anything is loaded.

    Raises:
        InputError: it cannot be had.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, OverflowError) as err:
        listener.close()
        raise InputError(f"--host {host} --port {port}: cannot listen there ({err}); choose another --port") from err
    return listener


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        return run(args)
    except ModuleNotFoundError as err:
        if err.name != "gradio":
            raise
        print("error: the page needs gradio: pip install -r requirements-app.txt -c constraints.txt, or start it with "
              "./run.sh app", file=sys.stderr)
        return 2
    except InputError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    raise SystemExit(main())
