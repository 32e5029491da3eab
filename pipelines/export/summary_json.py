"""The contents of summary.json."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from common.timecode import format_timestamp
from pipelines.summary import Summary, printable_path

from .plan import AS_SELECTED, ExportPlan


def summary_to_json(summary: Summary, plan: ExportPlan = AS_SELECTED, files: Sequence[str] = ()) -> dict:
    """Return everything about a summary as JSON values; `summary` is in the output format of ModelScope.

    Args:
        summary: the summary, as `plan.apply` returns it.
        plan: the plan of the export.
        files: names of the written files.

    Returns:
        Times are in seconds; intervals are [start, end).
    """
    info = summary.video.info
    edges_s = [round(float(edge_s), 3) for edge_s in summary.video.edges_s]
    selected = set(summary.selected)
    return dict(
        video=printable_path(info.path), duration=round(float(info.duration_s), 3),
        stated=None if info.header_duration_s is None else round(float(info.header_duration_s), 3),
        fps=round(float(info.fps), 3), text=list(summary.texts), budget=summary.budget,
        clips=[dict(start=start, end=end, score=round(float(score), 4))
               for (start, end), score in zip(itertools.pairwise(edges_s), summary.scores, strict=True)],
        moments=[dict(start=round(start, 3), end=round(end, 3), score=round(score, 4), text=text)
                 for start, end, score, text in summary.moments],
        summary=[dict(frame=frame, timestamps=[format_timestamp(start), format_timestamp(end)])
                 for frame, (start, end) in zip(summary.frames, summary.intervals_s, strict=True)],
        shots=[dict(start=round(start, 3), end=round(end, 3), selected=i in selected)
               for i, (start, end) in enumerate(summary.shots)],
        clips_by_text=[dict(text=text, scores=[round(float(s), 4) for s in row])
                       for text, row in zip(summary.texts, summary.scores_by_text, strict=True)],
        mode=summary.mode, files=list(files), kept=round(summary.duration_s, 3), copied=plan.copied,
        copy_obstacle=plan.copy_obstacle or None,
        aspect=None if plan.aspect is None else f"{plan.aspect.numerator}:{plan.aspect.denominator}",
        pieces=[dict(file=piece.file, start=round(float(piece.start_s), 3), end=round(float(piece.end_s), 3),
                     cut_start=round(float(piece.cut_start_s), 3), score=round(piece.score, 4), text=piece.text)
                for piece in summary.pieces],
        shorts=None if plan.shorts is None else dict(asked=plan.shorts.count, found=len(summary.intervals_s)),
        captions=[dict(start=round(float(c.start_s), 3), end=round(float(c.end_s), 3), text=c.text)
                  for c in summary.captions],
        sentences=[query.to_json() for query in summary.queries],
        sampling=summary.video.sampling, decoder=summary.video.decoder, scored_by=summary.provenance,
        subtitles=len(summary.cues),
        timings_s={step: round(seconds, 3) for step, seconds in summary.timings_s.items()})
