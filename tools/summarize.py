"""Cuts a short video out of a long one by words.

  python tools/summarize.py match.mp4 --text "a goal" --text "the crowd cheers" --out out
  python tools/summarize.py match.mp4 --out out                      # no words: what stands out
  python tools/summarize.py match.mp4 --budget 1m30s --out out       # in 90 seconds
  python tools/summarize.py talk.mp4 --subtitles talk.srt --text "prices will rise" --budget 5% --out out
  python tools/summarize.py match.mp4 --mode shorts --count 5 --aspect 9:16 --out out
  python tools/summarize.py match.mp4 --text "a goal" --copy --export edl,csv --out out
  python tools/summarize.py match.mp4 --text "a goal" --sampling keyframes --copy --cache ~/encoded --out out   # fast
  python tools/summarize.py *.mp4 --text "a goal" --out out --json > done.jsonl      # many: out/NAME/...
  python tools/summarize.py match.mp4 --text "a goal" --config configs/sample/umt_sample.py \\
      --checkpoint work_dirs/sample/best.pth --out out

Writes summary.mp4 (the cut; or short-1.mp4, the best, short-2.mp4 ...), summary.json (scores, moments, what was
kept) and report.html; where something is said, the subtitles of the cut as .srt. Exit status: 0 all is written;
1 some of several videos failed; 2 nothing is written, the reason is on stderr; 130 stopped.
"""

from __future__ import annotations

import argparse
import io
import json
import signal
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.cli import parse
from common.errors import InputError

OUTPUTS = ("summary.mp4", "summary.json", "report.html")
SHOWN_MOMENTS = 10
SHOWN_CHARACTERS = 60


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", metavar="VIDEO", help="any video files")
    parser.add_argument("--out", required=True, metavar="DIR",
                        help=f"folder for {', '.join(OUTPUTS)}; of several videos, each has a folder in it")
    asked = parser.add_argument_group("what to look for")
    asked.add_argument("--text", action="append", default=[], metavar="T",
                       help="a sentence; may be given several times (default: what stands out)")
    asked.add_argument("--subtitles", metavar="F", help=".srt or .vtt of the video, looked through as well and cut "
                       "along (default: the video's own track)")
    asked.add_argument("--config", metavar="C", help="config (default: the embedded encoders, no training)")
    asked.add_argument("--checkpoint", metavar="P", help="weights of the config's model")
    asked.add_argument("--captions", choices=("vocabulary", "blip", "none"), default="vocabulary",
                       help="who says what shots show when nothing is asked: the encoder's vocabulary, or BLIP, whose "
                       "files must be at hand (default: vocabulary)")
    kept = parser.add_argument_group("what to keep")
    kept.add_argument("--mode", default="summary", metavar="M",
                      help="summary: the best shots; moments: whole moments; shorts: the best pieces, a file each "
                      "(default: summary)")
    kept.add_argument("--budget", metavar="B", help="a share of the video or a time: 0.15, 15%%, 60s, 1m30s "
                      "(default: 0.15; not for shorts)")
    kept.add_argument("--count", type=int, metavar="N", help="how many shorts (default: 3)")
    kept.add_argument("--length", metavar="A-B", help="of shorts in seconds (default: 15-60)")
    speed = parser.add_argument_group("how to watch it")
    speed.add_argument("--sampling", choices=("exact", "keyframes"), default="exact",
                       help="exact: the picture in the middle of every clip; keyframes: the nearest key frame, several "
                       "times faster (default: exact)")
    speed.add_argument("--cache", metavar="DIR", help="keep encoded videos here: ask again without watching again")
    form = parser.add_argument_group("how to write it")
    form.add_argument("--copy", action="store_true", help="copy pictures instead of encoding them anew: much faster, "
                      "but pieces begin at key frames, up to some seconds early")
    form.add_argument("--aspect", metavar="W:H", help="crop to this shape, e.g. 9:16, following what draws the eye")
    form.add_argument("--export", metavar="LIST", help="edit lists beside the cut: csv, edl, otio, or several: csv,edl")
    told = parser.add_argument_group("what is told")
    told.add_argument("--quiet", action="store_true", help="nothing but errors")
    told.add_argument("--json", action="store_true", help="one line of JSON per video on stdout instead of the table")
    return parse(parser, argv)


def read_job(args: argparse.Namespace):
    """Checks what is quick to check, before torch is loaded."""
    from common.queries import check_queries
    from pipelines.batch import Job
    from pipelines.export.options import ExportOptions, parse_aspect, parse_edit_lists
    from pipelines.options import check_mode, parse_budget, parse_shorts
    mode = check_mode(args.mode)
    if mode == "shorts" and args.budget is not None:
        raise InputError(f"--budget {args.budget} says nothing about shorts; say --count and --length")
    if mode != "shorts" and (args.count is not None or args.length is not None):
        raise InputError(f"--count and --length are of shorts, the mode is {mode}; add --mode shorts or leave them "
                         "out")
    if args.subtitles is not None and len(args.videos) > 1:
        raise InputError(f"--subtitles {args.subtitles} belongs to one video, {len(args.videos)} are given; make a "
                         "call for each, or leave it out where videos carry their own")
    if Path(args.out).suffix.lower() in (".mp4", ".json", ".html"):
        raise InputError(f"--out {args.out}: names a file; name the folder for {', '.join(OUTPUTS)}")
    form = ExportOptions(args.copy, None if args.aspect is None else parse_aspect(args.aspect),
                () if args.export is None else parse_edit_lists(args.export))
    shorts = parse_shorts(3 if args.count is None else args.count, args.length or "15-60")
    budget = parse_budget("0.15" if args.budget is None else args.budget)
    return Job(check_queries(args.text), budget, mode, shorts, form, args.subtitles, args.config, args.checkpoint,
               None if args.captions == "none" else args.captions, args.sampling, args.cache, args.quiet)


def run(args: argparse.Namespace) -> int:
    """Works on every video; a failure of one of several is told and counted."""
    from pipelines.batch import Worker, folders_for
    job = read_job(args)
    folders = folders_for(args.videos, Path(args.out))
    worker, failed, many = Worker(job), [], len(args.videos) > 1
    for number, (video, out) in enumerate(zip(args.videos, folders, strict=True), 1):
        if many and not args.quiet:
            print(f"[{number}/{len(args.videos)}] {shown(video)}", file=sys.stderr)
        try:
            export = worker.work(video, out)
        except (InputError, OSError) as err:
            failed.append(video)
            tell_error(err, args, video)
            continue
        except Exception as err:   # a fault of the program; the other videos may not meet it
            if not many:
                raise
            traceback.print_exc()
            failed.append(video)
            tell_error(f"{video}: {type(err).__name__}: {err}", args, video)
            continue
        if args.json:
            print(json.dumps(machine_line(export, out, video), ensure_ascii=False), flush=True)
        elif not args.quiet:
            print_summary(export, out)
    if failed and many:
        print(f"{len(failed)} of {len(args.videos)} videos failed: {', '.join(map(shown, failed))}", file=sys.stderr)
    return 0 if not failed else 1 if len(failed) < len(args.videos) else 2


def tell_error(err: object, args: argparse.Namespace, video: str | None = None) -> None:
    print(f"error: {err}", file=sys.stderr)
    if args.json:
        print(json.dumps(dict(video=video and shown(video), ok=False, error=str(err)), ensure_ascii=True), flush=True)


def shown(name: str) -> str:
    """A file's name on one line of a terminal."""
    return " ".join(name.encode("utf-8", "replace").decode("utf-8").split())


def machine_line(export, out: Path, video: str) -> dict:
    found = export.to_json()
    kept = {key: found[key] for key in ("duration", "kept", "mode", "shorts", "copied", "pieces", "moments",
                                      "timings_s")}
    return dict(video=shown(video), ok=True, out=shown(str(out)), files=list(export.files)) | kept


def print_summary(export, out: Path) -> None:
    summary = export.summary
    from common.timecode import format_clock
    if summary.moments:
        print(f"{'moment':>17}  score  {'asked' if summary.texts else ''}".rstrip())
    for moment in summary.moments[:SHOWN_MOMENTS]:
        text = " ".join(moment.text.split())
        text = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS - 1] + "…"
        start, end = format_clock(moment.start_s), format_clock(moment.end_s)
        print(f"{start:>7} - {end:>7}   {moment.score:.2f}  {text}".rstrip())
    more = len(summary.moments) - SHOWN_MOMENTS
    if more > 0:
        print(f"  and {more} more in {out / 'summary.json'}")
    if export.shortage:
        print(export.shortage)
    pieces = len(summary.intervals_s)
    copied = ", copied from key frames on," if export.plan.copied else ","
    print(f"kept {summary.duration_s:.1f} s of {float(summary.video.info.duration_s):.1f} s in {pieces} "
          f"piece{'s' * (pieces != 1)}{copied} by {summary.provenance['kind']}:")
    for name in export.files:
        print(f"  {out / name}")


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")   # a terminal that lacks a script shows question marks
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)   # a machine's word for stopping
    try:
        return run(args)
    except (InputError, OSError) as err:
        tell_error(err, args)
        return 2
    except KeyboardInterrupt:
        print("stopped; nothing was written" if len(args.videos) == 1 else
              "stopped; the folders of finished videos stay", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    raise SystemExit(main())
