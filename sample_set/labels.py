"""Labels of a script in the QVHighlights format: windows, clips, and scores of three annotators."""

from __future__ import annotations

import itertools

import numpy as np

from .audio_events import AUDIO_CLASSES
from .scenes import PLAIN, SCENES, STYLES
from .script import Query, Script, Setting, light, nearness

WORDINGS_PER_TRAIN_QUERY = 2
SOFTEST_DB = -18
BOTH = ("{} while {}", "{} and at the same time {}")
BOTH_HELD_OUT = ("{}; meanwhile {}", "{}, during which {}")


def matches_visually(script: Script, query: Query) -> np.ndarray:
    """Return (n_frames,) bool, True for frames whose shot has the scene and the style of the query."""
    seen = np.zeros(script.n_frames, dtype=bool)
    for shot in script.shots:
        if query.scene in (None, shot.scene) and query.style in (None, shot.style):
            seen[shot.first:shot.last] = True
    return seen


def loudness(script: Script, kind: str, setting: Setting) -> np.ndarray:
    """Return (n_frames,) the loudness of an audio class at each frame, from 0 (softest) to 1; NaN if it is silent."""
    loud = np.full(script.n_frames, np.nan)
    for span in script.audio_events:
        if span.kind == kind:
            first, last = round(span.start_s * setting.fps), round(span.end_s * setting.fps)
            loud[first:last] = 1 - np.linspace(span.level_db[0], span.level_db[1], last - first) / SOFTEST_DB
    return loud


def quality(script: Script, query: Query, setting: Setting) -> np.ndarray:
    """Return (n_frames,) the relevance of each frame to a query, from 0 to 1; NaN for frames that do not match.

    Visual relevance increases with the nearness of the subject and, unless the query names a style, with the light.
    Audio relevance increases with the loudness. A query for both has the mean of both.
    """
    parts = []
    if query.scene or query.style:
        frames = np.arange(script.n_frames)
        frame = np.full(script.n_frames, np.nan)
        for shot in script.shots:
            span = frames[shot.first:shot.last]
            frame[span] = nearness(shot, span)
            if query.style is None:
                frame[span] = 0.75 * frame[span] + 0.25 * np.clip(light(shot, span), 0, 1)
        parts.append(np.where(matches_visually(script, query), frame, np.nan))
    if query.audio:
        parts.append(loudness(script, query.audio, setting))
    return np.mean(parts, axis=0)


def relevant_clips(script: Script, query: Query, setting: Setting) -> tuple[np.ndarray, np.ndarray]:
    """Return the clips of which at least half matches a query.

    Returns:
        ids (R,) ascending, and their relevance (R,), the mean over the matching frames.
    """
    frames = quality(script, query, setting).reshape(-1, setting.frames_per_clip)   # (clips, frames per clip)
    fits = ~np.isnan(frames)
    ids = np.flatnonzero(2 * fits.sum(1) >= setting.frames_per_clip)
    return ids, np.nanmean(frames[ids], axis=1) if len(ids) else np.zeros(0)


def windows_s(ids: np.ndarray, clip_len_s: int) -> list[list[int]]:
    """Return runs of adjacent clips as [start, end) in seconds."""
    runs = np.split(ids, np.flatnonzero(np.diff(ids) > 1) + 1)
    return [[int(run[0]) * clip_len_s, (int(run[-1]) + 1) * clip_len_s] for run in runs if len(run)]


def annotate(qualities: np.ndarray, biases: np.ndarray, rng: np.random.Generator) -> list[list[int]]:
    """Return the ratings of three synthetic annotators.

    Args:
        qualities: (R,) relevance of the clips, from 0 to 1.
        biases: (3,) offset of the ratings of each annotator.
        rng: source of the rating noise.

    Returns:
        (R, 3) ints 0-4.
    """
    scores = 0.6 + 3.8 * qualities[:, None] + biases + rng.normal(0, 0.45, (len(qualities), len(biases)))
    return np.clip(np.round(scores), 0, 4).astype(int).tolist()


def phrases(query: Query, held_out: bool) -> list[str]:
    """Return all wordings of a query, either those for training or those held out for evaluation.

    The two sets share no name of a scene, no template of a style and no clause of an audio class.
    """
    def pick(entry, name: str) -> tuple[str, ...]:
        if not held_out:
            return getattr(entry, name)
        return getattr(entry, "alone_held_out" if name == "alone" else "held_out")

    clauses = pick(AUDIO_CLASSES[query.audio], "clauses") if query.audio else ()
    if query.scene is None:
        return list(clauses or pick(STYLES[query.style or PLAIN], "alone"))
    templates = pick(STYLES[query.style or PLAIN], "templates")
    scene_phrases = [t.format(name) for t in templates for name in pick(SCENES[query.scene], "names")]
    if not query.audio:
        return scene_phrases
    return [joint.format(p, c) for joint, p, c in
            itertools.product(BOTH_HELD_OUT if held_out else BOTH, scene_phrases, clauses)]


def wordings(script: Script, number: int, setting: Setting) -> list[tuple[str, str]]:
    """Return the wordings of query `number` of a script, each with "seen" or "unseen".

    Training queries have several wordings. Other queries have one, which is held out for every second query.
    """
    rng = np.random.default_rng([setting.seed, 4, script.index, number])
    unseen = script.split != "train" and (script.index + number) % 2 == 0
    known = phrases(script.queries[number], unseen)
    count = min(WORDINGS_PER_TRAIN_QUERY if script.split == "train" else 1, len(known))
    chosen = sorted(rng.choice(len(known), count, replace=False))
    return [(known[i], "unseen" if unseen else "seen") for i in chosen]


def label_lines(scripts: list[Script], setting: Setting) -> list[dict]:
    """Return one label line per wording of each query; `qid` starts at 1.

    In addition to the keys of QVHighlights, a line has `wording` ("seen": phrases that occur in training, "unseen":
    phrases held out for evaluation) and `kind` (see `Query.kind`).
    """
    biases = np.random.default_rng([setting.seed, 2]).normal(0, 0.3, 3)
    lines: list[dict] = []
    for script in scripts:
        for number, query in enumerate(script.queries):
            ids, qualities = relevant_clips(script, query, setting)
            rng = np.random.default_rng([setting.seed, 3, script.index, number])
            scores = annotate(qualities, biases, rng)
            for text, wording in wordings(script, number, setting):
                lines.append(dict(
                    qid=len(lines) + 1, query=text, vid=script.vid, duration=script.n_frames // setting.fps,
                    relevant_windows=windows_s(ids, setting.clip_len_s), relevant_clip_ids=ids.tolist(),
                    saliency_scores=scores, wording=wording, kind=query.kind))
    return lines
