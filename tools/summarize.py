"""Cuts a short video out of a long one by words.

  python tools/summarize.py match.mp4 --text "a goal" --text "the crowd cheers" --out out
  python tools/summarize.py match.mp4 --out out                      # no words: what stands out
  python tools/summarize.py talk.mp4 --subtitles talk.srt --text "prices will rise" --budget 0.05 --out out
  python tools/summarize.py match.mp4 --text "a goal" --config configs/sample/umt_sample.py \\
      --checkpoint work_dirs/sample/best.pth --out out

Writes summary.mp4 (the cut), summary.json (scores, moments, what was kept) and report.html.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.errors import InputError

OUTPUTS = ("summary.mp4", "summary.json", "report.html")
SHOWN_MOMENTS = 10
SHOWN_CHARACTERS = 60


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", metavar="VIDEO", help="any video file")
    parser.add_argument("--text", action="append", default=[], metavar="T",
                        help="what to look for; may be given several times (default: what stands out)")
    parser.add_argument("--subtitles", metavar="F", help=".srt or .vtt of the video, looked through as well")
    parser.add_argument("--config", metavar="C", help="config (default: the embedded encoders, no training)")
    parser.add_argument("--checkpoint", metavar="P", help="weights of the config's model")
    parser.add_argument("--budget", type=float, default=0.15,
                        help="share of the video to keep (default: 0.15)")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for " + ", ".join(OUTPUTS))
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    """Checks what is quick to check, before torch is loaded; then works in a folder of its own."""
    from common.texts import check_texts
    from pipelines.question import check_budget
    from pipelines.staging import stage
    from pipelines.subtitles import read_subtitles
    from pipelines.video import probe
    out = Path(args.out)
    if out.suffix.lower() in (".mp4", ".json", ".html"):
        raise InputError(f"--out {out}: names a file; name the folder for {', '.join(OUTPUTS)}")
    texts, budget = check_texts(args.text), check_budget(args.budget)
    probe(args.video)
    cues = read_subtitles(args.subtitles) if args.subtitles is not None else []
    inputs = [path for path in (args.video, args.subtitles, args.config, args.checkpoint) if path is not None]
    with stage(out, OUTPUTS, inputs) as folder:
        from pipelines.summarizer import build_summarizer

        summarizer = build_summarizer(args.config, args.checkpoint)
        video = summarizer.encode(args.video)
        summary = summarizer.summarize(video, texts, budget, cues)
        summary.save_video(folder / "summary.mp4", progress=True)
        summary.save_report(folder / "report.html")
        summary.save_json(folder / "summary.json")
    print_summary(summary, out)


def print_summary(summary, out: Path) -> None:
    from pipelines.report import clock
    if summary.moments:
        print(f"{'moment':>17}  score  {'asked' if summary.texts else ''}".rstrip())
    for moment in summary.moments[:SHOWN_MOMENTS]:
        text = " ".join(moment.text.split())
        text = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS - 1] + "…"
        print(f"{clock(moment.start_s):>7} - {clock(moment.end_s):>7}   {moment.score:.2f}  {text}".rstrip())
    more = len(summary.moments) - SHOWN_MOMENTS
    if more > 0:
        print(f"  and {more} more in {out / 'summary.json'}")
    pieces = len(summary.intervals_s)
    print(f"kept {summary.duration_s:.1f} s of {float(summary.video.info.duration_s):.1f} s in {pieces} "
          f"piece{'s' * (pieces != 1)}, by {summary.scored_by['kind']}:")
    for name in OUTPUTS:
        print(f"  {out / name}")


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")   # a terminal that lacks a script shows question marks
    try:
        run(args)
    except InputError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    except OSError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
