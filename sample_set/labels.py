"""From a script to label lines in QVHighlights' format: windows, clips, and three annotators' scores."""

from __future__ import annotations

import itertools

import numpy as np

from .scenes import LOOKS, PLAIN, SCENES
from .script import Query, Script, Setting, light, nearness
from .sounds import SOUNDS

WORDINGS_PER_TRAIN_QUERY = 2
SOFTEST_DB = -18
BOTH = ("{} while {}", "{} and at the same time {}")
BOTH_HELD_OUT = ("{}; meanwhile {}", "{}, during which {}")


def shown(script: Script, query: Query) -> np.ndarray:
    """(n_frames,) bool: the frames at which everything that the query asks for is seen and heard."""
    seen = np.zeros(script.n_frames, dtype=bool)
    for shot in script.shots:
        if query.scene in (None, shot.scene) and query.look in (None, shot.look):
            seen[shot.first:shot.last] = True
    return seen


def heard(script: Script, kind: str, setting: Setting) -> np.ndarray:
    """(n_frames,) float: loudness of a kind of sound at each frame, 0 softest to 1 full, NaN where silent."""
    loud = np.full(script.n_frames, np.nan)
    for span in script.sounds:
        if span.kind == kind:
            first, last = round(span.start_s * setting.fps), round(span.end_s * setting.fps)
            loud[first:last] = 1 - np.linspace(span.level_db[0], span.level_db[1], last - first) / SOFTEST_DB
    return loud


def quality(script: Script, query: Query, setting: Setting) -> np.ndarray:
    """(n_frames,) how good each frame is for the query, 0 to 1, NaN where it does not fit.

    What is seen is the better the nearer it is, and the better lit unless the manner of filming was
    asked for; what is heard is the better the louder it is; both together count half each.
    """
    parts = []
    if query.scene or query.look:
        frames = np.arange(script.n_frames)
        picture = np.full(script.n_frames, np.nan)
        for shot in script.shots:
            span = frames[shot.first:shot.last]
            picture[span] = nearness(shot, span)
            if query.look is None:
                picture[span] = 0.75 * picture[span] + 0.25 * np.clip(light(shot, span), 0, 1)
        parts.append(np.where(shown(script, query), picture, np.nan))
    if query.sound:
        parts.append(heard(script, query.sound, setting))
    return np.mean(parts, axis=0)


def relevant_clips(script: Script, query: Query, setting: Setting) -> tuple[np.ndarray, np.ndarray]:
    """The clips of which at least half fits the query.

    Returns:
        ids (R,) ascending, and their quality (R,), the mean over the frames that fit.
    """
    frames = quality(script, query, setting).reshape(-1, setting.frames_per_clip)   # (clips, frames of a clip)
    fits = ~np.isnan(frames)
    ids = np.flatnonzero(2 * fits.sum(1) >= setting.frames_per_clip)
    return ids, np.nanmean(frames[ids], axis=1) if len(ids) else np.zeros(0)


def windows_s(ids: np.ndarray, clip_len_s: int) -> list[list[int]]:
    """Runs of neighbouring clips as [start, end) in seconds."""
    runs = np.split(ids, np.flatnonzero(np.diff(ids) > 1) + 1)
    return [[int(run[0]) * clip_len_s, (int(run[-1]) + 1) * clip_len_s] for run in runs if len(run)]


def annotate(good: np.ndarray, biases: np.ndarray, rng: np.random.Generator) -> list[list[int]]:
    """Three made-up annotators rate clips of a known quality.

    Args:
        good: (R,) 0 to 1.
        biases: (3,) how much each annotator is given to high scores.

    Returns:
        (R, 3) ints 0-4.
    """
    scores = 0.6 + 3.8 * good[:, None] + biases + rng.normal(0, 0.45, (len(good), len(biases)))
    return np.clip(np.round(scores), 0, 4).astype(int).tolist()


def phrases(query: Query, held_out: bool) -> list[str]:
    """Every wording of a query: those for training, or those kept for evaluation.

    The two share no name of a scene, no template of a manner and no clause of a sound.
    """
    def pick(entry, name: str) -> tuple[str, ...]:
        if not held_out:
            return getattr(entry, name)
        return getattr(entry, "alone_held_out" if name == "alone" else "held_out")

    clauses = pick(SOUNDS[query.sound], "clauses") if query.sound else ()
    if query.scene is None:
        return list(clauses or pick(LOOKS[query.look or PLAIN], "alone"))
    templates = pick(LOOKS[query.look or PLAIN], "templates")
    pictures = [t.format(name) for t in templates for name in pick(SCENES[query.scene], "names")]
    if not query.sound:
        return pictures
    return [joint.format(p, c) for joint, p, c in
            itertools.product(BOTH_HELD_OUT if held_out else BOTH, pictures, clauses)]


def wordings(script: Script, number: int, setting: Setting) -> list[tuple[str, str]]:
    """The (wording, "seen" or "unseen") that a script's query number `number` is asked in.

    A training query comes in several wordings; elsewhere in one, every other of them held out.
    """
    rng = np.random.default_rng([setting.seed, 4, script.index, number])
    unseen = script.split != "train" and (script.index + number) % 2 == 0
    known = phrases(script.queries[number], unseen)
    count = min(WORDINGS_PER_TRAIN_QUERY if script.split == "train" else 1, len(known))
    chosen = sorted(rng.choice(len(known), count, replace=False))
    return [(known[i], "unseen" if unseen else "seen") for i in chosen]


def label_lines(scripts: list[Script], setting: Setting) -> list[dict]:
    """One line for each wording of each query of these scripts, `qid` counted from 1.

    Beside QVHighlights' keys a line has `wording` ("seen": made of phrases that training uses, "unseen":
    of phrases kept for evaluation) and `kind` (what is asked for: scene, look, sound, or two of them).
    """
    biases = np.random.default_rng([setting.seed, 2]).normal(0, 0.3, 3)
    lines: list[dict] = []
    for script in scripts:
        for number, query in enumerate(script.queries):
            ids, good = relevant_clips(script, query, setting)
            rng = np.random.default_rng([setting.seed, 3, script.index, number])
            scores = annotate(good, biases, rng)
            for text, wording in wordings(script, number, setting):
                lines.append(dict(
                    qid=len(lines) + 1, query=text, vid=script.vid, duration=script.n_frames // setting.fps,
                    relevant_windows=windows_s(ids, setting.clip_len_s), relevant_clip_ids=ids.tolist(),
                    saliency_scores=scores, wording=wording, kind=query.kind))
    return lines
