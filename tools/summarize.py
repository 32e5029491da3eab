"""Create a short video from a long one, guided by text queries.

Examples:
  python tools/summarize.py match.mp4 --text "a goal" --text "the crowd cheers" --out out
  python tools/summarize.py match.mp4 --out out                      # without a query: the most important parts
  python tools/summarize.py match.mp4 --budget 1m30s --out out       # at most 90 seconds
  python tools/summarize.py talk.mp4 --subtitles talk.srt --text "prices will rise" --budget 5% --out out
  python tools/summarize.py match.mp4 --mode shorts --count 5 --aspect 9:16 --out out
  python tools/summarize.py match.mp4 --text "a goal" --copy --export edl,csv --out out
  python tools/summarize.py match.mp4 --text "a goal" --sampling keyframes --copy --cache ~/encoded --out out   # fast
  python tools/summarize.py *.mp4 --text "a goal" --out out --json > done.jsonl      # many videos: out/NAME/...
  python tools/summarize.py match.mp4 --text "a goal" --config configs/sample/umt_sample.py \\
      --checkpoint work_dirs/sample/best.pth --out out

The output folder gets summary.mp4 (or short-1.mp4, short-2.mp4 ..., the best first), summary.json with all scores and
moments, report.html, and a subtitle file (.srt) for each video with speech.

Exit status: 0 success; 1 some of several videos failed; 2 nothing was written, see stderr; 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.cli import ArgumentParser, describe_error, parse, run
from common.errors import InputError

if TYPE_CHECKING:
    from pipelines.batch import SummaryRequest
    from pipelines.export.writer import Export

OUTPUTS = ("summary.mp4", "summary.json", "report.html")
MAX_PRINTED_MOMENTS = 10
MAX_PRINTED_CHARACTERS = 60
JSON_KEYS = ("duration", "kept", "mode", "shorts", "copied", "copy_obstacle", "pieces", "moments", "timings_s")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="+", metavar="VIDEO", help="video files in any common format")
    parser.add_argument("--out", required=True, metavar="DIR",
                        help=f"folder for {', '.join(OUTPUTS)}; several videos get one subfolder each. NAME.mp4 writes "
                        "the cut to this file, and all files to the folder NAME")
    queries = parser.add_argument_group("what to find")
    queries.add_argument("--text", action="append", default=[], metavar="T",
                         help="a sentence that describes what to find; may be repeated (default: the most important "
                         "parts)")
    queries.add_argument("--subtitles", metavar="F", help=".srt, .vtt, .ass or .ssa file, which is searched for the "
                         "query; cuts avoid its lines (default: the subtitle track in the video)")
    queries.add_argument("--config", metavar="C", help="config (default: embedded encoders, zero-shot)")
    queries.add_argument("--checkpoint", metavar="P", help="weights of the config's model")
    queries.add_argument("--captions", choices=("vocabulary", "blip", "none"), default="vocabulary",
                         help="captions of the shots if there is no query: by the vocabulary of the visual encoder, or "
                         "by BLIP, whose files you must download (default: vocabulary)")
    selection = parser.add_argument_group("what to keep")
    selection.add_argument("--mode", default="summary", metavar="M",
                           help="summary: the best shots; moments: complete moments; shorts: the best pieces, one file "
                           "each (default: summary)")
    selection.add_argument("--budget", metavar="B", help="maximum length as a share or a time: 0.15, 15%%, 60s, 1m30s "
                           "(default: 0.15; not for shorts)")
    selection.add_argument("--count", type=int, metavar="N", help="maximum number of shorts (default: 3)")
    selection.add_argument("--length", metavar="A-B", help="length of shorts in seconds (default: 15-60)")
    decoding = parser.add_argument_group("decoding")
    decoding.add_argument("--sampling", choices=("exact", "keyframes"), default="exact",
                          help="exact: encode the frame in the middle of each clip; keyframes: the nearest key frame, "
                          "several times faster (default: exact)")
    decoding.add_argument("--cache", metavar="DIR", help="keep encoded videos in this folder, so that further queries "
                          "need no decoding")
    export = parser.add_argument_group("output")
    export.add_argument("--copy", nargs="?", const="auto", default=False, choices=("auto", "always"), help="copy the "
                        "video stream instead of re-encoding it: much faster, but pieces start at key frames, up to "
                        "some seconds early; a video that cannot be copied is re-encoded, or with --copy=always an "
                        "error")
    export.add_argument("--aspect", metavar="W:H", help="crop to this aspect ratio, e.g. 9:16, and follow the most "
                        "salient region")
    export.add_argument("--export", metavar="LIST", help="also write edit lists: csv, edl, otio, or several: csv,edl")
    export.add_argument("--quiet", action="store_true", help="print errors only")
    export.add_argument("--json", action="store_true", help="print a line of JSON per video on stdout instead of text")
    arguments = sys.argv[1:] if argv is None else argv
    # The optional value must follow `=`; otherwise --copy would take a following video as its value.
    return parse(parser, ["--copy=auto" if argument == "--copy" else argument for argument in arguments])


def read_request(args: argparse.Namespace) -> SummaryRequest:
    """Check the arguments; this needs no heavy library, so that errors appear at once."""
    from common.queries import check_queries
    from pipelines.batch import SummaryRequest
    from pipelines.export.options import ExportOptions, parse_aspect, parse_edit_lists
    from pipelines.options import check_mode, parse_budget, parse_shorts
    mode = check_mode(args.mode)
    if mode == "shorts" and args.budget is not None:
        raise InputError(None, f"--budget {args.budget} does not apply to shorts", "use --count and --length")
    if mode != "shorts" and (args.count is not None or args.length is not None):
        raise InputError(None, f"--count and --length apply to shorts, but the mode is {mode}",
                         "add --mode shorts, or leave them out")
    if args.subtitles is not None and len(args.videos) > 1:
        raise InputError(None, f"--subtitles {args.subtitles} belongs to one video, but {len(args.videos)} are given",
                         "run one command for each, or leave it out to use the subtitle tracks in the videos")
    export = ExportOptions(args.copy, None if args.aspect is None else parse_aspect(args.aspect),
                           () if args.export is None else parse_edit_lists(args.export))
    shorts = parse_shorts(3 if args.count is None else args.count, args.length or "15-60")
    budget = parse_budget("0.15" if args.budget is None else args.budget)
    return SummaryRequest(check_queries(args.text), budget, mode, shorts, export, args.subtitles, args.config,
                          args.checkpoint, None if args.captions == "none" else args.captions, args.sampling,
                          args.cache, args.quiet)


def summarize(args: argparse.Namespace) -> int:
    """Summarize all videos, and return the exit status; an error in one of several videos does not stop the others."""
    from pipelines.batch import BatchSummarizer, output_folders
    from pipelines.file_names import parse_output
    try:
        request = read_request(args)
        out, cut = parse_output(args.out, len(args.videos), request.mode)
        summarizer, folders = BatchSummarizer(request), output_folders(args.videos, out)
    except (InputError, OSError) as err:
        if args.json:
            print_json_error(describe_error(err))
        raise
    failed: list[str] = []
    for number, (video, folder) in enumerate(zip(args.videos, folders, strict=True), 1):
        if len(args.videos) > 1 and not args.quiet:
            print(f"[{number}/{len(args.videos)}] {printable(video)}", file=sys.stderr)
        try:
            export = summarizer.summarize(video, folder, cut)
        except Exception as err:
            if isinstance(err, (InputError, OSError)):
                message = describe_error(err)
            else:   # A bug, which other videos may not trigger.
                if len(args.videos) == 1:
                    raise
                traceback.print_exc()
                message = f"{video}: {type(err).__name__}: {err}"
            failed.append(video)
            print(f"error: {message}", file=sys.stderr)
            if args.json:
                print_json_error(message, video)
            continue
        if args.json:
            line = json_line(export, folder, video) | ({} if cut is None else dict(cut=printable(str(cut))))
            print(json.dumps(line, ensure_ascii=False), flush=True)
        elif not args.quiet:
            print_summary(export, folder, cut)
    if failed and len(args.videos) > 1:
        print(f"{len(failed)} of {len(args.videos)} videos failed: {', '.join(map(printable, failed))}",
              file=sys.stderr)
    return 0 if not failed else 1 if len(failed) < len(args.videos) else 2


def print_json_error(message: str, video: str | None = None) -> None:
    name = None if video is None else printable(video)
    print(json.dumps(dict(video=name, ok=False, error=message), ensure_ascii=True), flush=True)


def printable(name: str) -> str:
    """Return a file name as a single line of valid UTF-8."""
    return " ".join(name.encode("utf-8", "replace").decode("utf-8").split())


def json_line(export: Export, folder: Path, video: str) -> dict:
    contents = export.to_json()
    return dict(video=printable(video), ok=True, out=printable(str(folder)), files=list(export.files),
                **{key: contents[key] for key in JSON_KEYS})


def print_summary(export: Export, folder: Path, cut: Path | None = None) -> None:
    """Print the best moments, and the length and the files of a summary."""
    from common.timecode import format_clock
    summary = export.summary
    if summary.moments:
        print(f"{'moment':>17}  score  {'query' if summary.texts else ''}".rstrip())
    for moment in summary.moments[:MAX_PRINTED_MOMENTS]:
        text = " ".join(moment.text.split())
        text = text if len(text) <= MAX_PRINTED_CHARACTERS else text[:MAX_PRINTED_CHARACTERS - 1] + "…"
        start, end = format_clock(moment.start_s), format_clock(moment.end_s)
        print(f"{start:>7} - {end:>7}   {moment.score:.2f}  {text}".rstrip())
    more = len(summary.moments) - MAX_PRINTED_MOMENTS
    if more > 0:
        print(f"  and {more} more in {folder / 'summary.json'}")
    for note in filter(None, (export.shortage, summary.budget_note)):
        print(note)
    pieces = len(summary.intervals_s)
    copied = ", copied from key frames" if export.plan.copied else ""
    methods = [summary.provenance["kind"], summary.provenance.get("beside")]
    print(f"Kept {summary.duration_s:.1f} s of {float(summary.video.info.duration_s):.1f} s in {pieces} "
          f"piece{'s' * (pieces != 1)}{copied} (scored by: {' + '.join(filter(None, methods))})")
    for path in ([] if cut is None else [cut]) + [folder / name for name in export.files]:
        print(f"  {path}")


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")   # A terminal without a character shows a question mark.
    finished = "No files were written." if len(args.videos) == 1 else "Finished videos are kept."
    return run(lambda: summarize(args), interrupted=f"Interrupted. {finished}")


if __name__ == "__main__":
    raise SystemExit(main())
