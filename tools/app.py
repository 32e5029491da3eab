#!/usr/bin/env python
"""Serve the web page: choose a video, describe what you are looking for, get the moments and a cut.

    ./run.sh app                                          # http://127.0.0.1:7860, for this machine only
    ./run.sh app --videos recordings/                     # also offers the videos of a folder
    ./run.sh app --model configs/mine.py work_dirs/mine/best.pth
    ./run.sh app --host 0.0.0.0 --upload-limit 500MB --length-limit 1h     # for other machines in the network

Exit status: 0 after Ctrl-C; 2 if the server cannot start, with the reason on stderr.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.cli import ArgumentParser
from common.errors import InputError

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", metavar="H",
                        help="address to listen on (default: %(default)s, this machine only)")
    parser.add_argument("--port", type=int, default=7860, metavar="N", help="default: %(default)s; 0 uses a free port")
    parser.add_argument("--videos", type=Path, metavar="DIR", help="folder whose videos every user may open")
    parser.add_argument("--model", nargs=2, action="append", default=[], metavar=("CONFIG", "CHECKPOINT"),
                        help="a model that you trained; may be given several times, the first one is the default")
    parser.add_argument("--upload-limit", default="2GB", metavar="SIZE",
                        help="maximum size of a video (default: %(default)s)")
    parser.add_argument("--length-limit", default="3h", metavar="TIME",
                        help="maximum duration of a video (default: %(default)s)")
    parser.add_argument("--keep", default="1h", metavar="TIME",
                        help="time after its last use at which a user's video is removed (default: %(default)s)")
    parser.add_argument("--no-example", action="store_true", help="show no example on the first screen")
    return parser.parse_args(argv)


def parse_time(option: str, text: str) -> float:
    """Parse a time such as 90s, 30m or 3h.

    Args:
        option: the command-line option, for the error message.
        text: value of the option.

    Returns:
        The time in seconds.

    Raises:
        InputError: the text is not a time.
    """
    from common.timecode import parse_duration
    duration = parse_duration(text.strip())
    if duration is None or duration.total_seconds() <= 0:
        raise InputError(None, f"{option} {text}: not a time", "write for example 90s, 30m or 3h")
    return duration.total_seconds()


def make_example(folder: Path):
    """Return the example video as the page's `Example`.

    It is rendered once, into the cache folder; if that is not possible, or if the cached files are damaged, into
    `folder`.
    """
    from models.encoders.weights import cache_folder
    from page.example import load_example
    from sample_set.example import cached_example, render_example
    files = cached_example(cache_folder(), folder)
    try:
        return load_example(files.video, files.subtitles, files.queries, files.poster_s)
    except InputError:
        files = render_example(folder)
        return load_example(files.video, files.subtitles, files.queries, files.poster_s)


def run(args: argparse.Namespace) -> int:
    from page.limits import Limits
    from page.units import parse_bytes
    limits = Limits(max_upload_bytes=parse_bytes(args.upload_limit),
                    max_video_s=parse_time("--length-limit", args.length_limit),
                    idle_timeout_s=parse_time("--keep", args.keep))
    if args.videos is not None and not args.videos.is_dir():
        raise InputError(None, f"--videos {args.videos}: no such folder")
    listener = bind(args.host, args.port)
    print("Loading the models ...", file=sys.stderr)
    from page.launch import serve
    serve(listener, args.host, limits, args.videos, args.model, None if args.no_example else make_example)
    return 0


def bind(host: str, port: int) -> socket.socket:
    """Return a bound socket, so that a port in use is reported before the models are loaded.

    Raises:
        InputError: the address is not available.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, OverflowError) as err:
        listener.close()
        raise InputError(None, f"--host {host} --port {port}: cannot listen on this address ({err})",
                         "choose another --port") from err
    return listener


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        return run(args)
    except ModuleNotFoundError as err:
        if err.name != "gradio":
            raise
        print("error: the page needs gradio; run pip install -r requirements-app.txt -c constraints.txt, or start the "
              "page with ./run.sh app", file=sys.stderr)
        return 2
    except InputError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:   # Ctrl-C is the normal way to stop the server.
        return 0


if __name__ == "__main__":
    raise SystemExit(main())
