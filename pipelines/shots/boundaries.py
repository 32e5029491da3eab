"""Where a video can be cut without hurting: hard cuts of its pictures, and the times at which nobody speaks."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from pipelines.media.audio_reader import read_samples
from pipelines.media.container import frames_from
from pipelines.media.probe import VideoInfo
from pipelines.media.subtitles import Cue

Span = tuple[Fraction, Fraction]

SMALL_PX = (64, 36)       # pictures are compared at this size
HARD = 12.0               # levels of 255 by which pictures differ across a hard cut, on average
ALONE = 3.0               # and how many times the usual difference between neighbours
APART = 2.0               # and how many times any of the two before and after
RATE_HZ = 8000
VOICE_HZ = (300, 3000)    # where speech carries its words
STEP_S = Fraction(1, 100)
BELOW_DB = 18.0           # a pause is so much quieter than the loud parts around it
SILENT_DB = -60.0         # no sound that anybody hears, whatever is around it
PAUSE_S = Fraction(15, 100)   # between words in a sentence it is shorter


def hard_cuts(info: VideoInfo, from_s: Fraction, until_s: Fraction,
              opened: tuple[InputContainer, VideoStream] | None = None) -> list[Fraction]:
    """The times of the first pictures of new shots within [from_s, until_s], exact to the frame.

    Neighbouring pictures are compared by the mean difference of their levels at 64 x 36, as content
    detectors do; `cut_places` tells which differences are cuts.

    Args:
        opened: see `pipelines.media.container.frames_from`.

    Returns:
        Seconds from the first picture, ascending; none where shots change softly or not at all.
    """
    times, differences, before = [], [], None
    for time_s, frame in frames_from(info.path, info.start_s, from_s, opened, sparing=True):
        if time_s > until_s:
            break
        if time_s < from_s:
            continue
        small = frame.to_ndarray(format="rgb24", width=SMALL_PX[0], height=SMALL_PX[1], interpolation="AREA")
        small = small.astype(np.int16)
        if before is not None:
            times.append(time_s)
            differences.append(float(np.abs(small - before).mean()))
        before = small
    return [times[i] for i in cut_places(np.array(differences))]


def cut_places(differences: np.ndarray) -> list[int]:
    """Which differences (n,) between neighbouring pictures, in levels of 255, are hard cuts.

    A cut is large, larger than what usually changes, and stands alone: something that sweeps through the
    picture changes several in a row.
    """
    usual = float(np.median(differences)) if len(differences) > 2 else 0.0
    found = []
    for i in np.flatnonzero(differences >= max(HARD, ALONE * usual)):
        around = np.delete(differences[max(0, i - 2):i + 3], min(i, 2))
        if len(around) == 0 or differences[i] >= APART * around.max():
            found.append(int(i))
    return found


def calm_spans(info: VideoInfo, from_s: Fraction, until_s: Fraction, cues: Sequence[Cue]) -> list[Span] | None:
    """The times within [from_s, until_s] at which no word is cut: between subtitles, else in pauses of the sound.

    Returns:
        Ascending spans, both ends included; None where neither tells, such as in music or without sound.
    """
    if cues:
        return _between(cues, from_s, until_s)
    return pauses(info, from_s, until_s) or None if info.has_audio else None


def _between(cues: Sequence[Cue], from_s: Fraction, until_s: Fraction) -> list[Span]:
    spans, free_s = [], from_s
    for cue in sorted(cues, key=lambda c: c.start_s):
        start_s, end_s = (Fraction(t).limit_denominator(1000) for t in (cue.start_s, cue.end_s))
        if end_s <= from_s or start_s >= until_s:
            continue
        if start_s >= free_s:
            spans.append((free_s, start_s))
        free_s = max(free_s, end_s)
    return [*spans, (free_s, until_s)] if free_s <= until_s else spans


def pauses(info: VideoInfo, from_s: Fraction, until_s: Fraction) -> list[Span]:
    """Stretches of [from_s, until_s] in which speech pauses: 18 dB below the loud parts around, for 0.15 s.

    The level is that of 300-3000 Hz, over 10 ms.
    """
    wanted, parts, found = round((until_s - from_s) * RATE_HZ), [], 0
    for samples in read_samples(info.path, info.start_s, from_s, RATE_HZ, "mono"):
        parts.append(samples[0])
        found += samples.shape[1]
        if found >= wanted:
            break
    sound = np.concatenate([*parts, np.zeros(max(0, wanted - found), np.float32)])[:wanted]
    return [(from_s + first * STEP_S, from_s + last * STEP_S) for first, last in quiet_steps(sound)]


def quiet_steps(sound: np.ndarray) -> list[tuple[int, int]]:
    """Pauses in sound (n,) at 8 kHz as steps of 10 ms, [first, last)."""
    size = int(RATE_HZ * STEP_S)
    n_steps = len(sound) // size
    if n_steps == 0:
        return []
    from scipy.signal import butter, sosfilt  # a second and a half to load, which only shorts wait for

    voice = sosfilt(butter(4, VOICE_HZ, "bandpass", fs=RATE_HZ, output="sos"), sound)
    power = (voice[:n_steps * size].reshape(n_steps, size) ** 2).mean(axis=1)   # (n,) -> (steps, samples)
    level_db = 10 * np.log10(power + 1e-12)
    loud_db = np.percentile(level_db, 95)
    quiet = level_db < max(loud_db - BELOW_DB, SILENT_DB)
    changes = np.diff(np.concatenate([[0], quiet.astype(np.int8), [0]]))
    runs = zip(np.flatnonzero(changes == 1), np.flatnonzero(changes == -1), strict=True)
    return [(int(a), int(b)) for a, b in runs if (b - a) * STEP_S >= PAUSE_S]
