"""Find the pauses in speech at which a video can be cut without cutting off a word."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from common.temporal import Interval
from pipelines.media.audio_reader import read_samples
from pipelines.media.probe import VideoInfo
from pipelines.media.subtitles import Cue

RATE_HZ = 8000
SPEECH_BAND_HZ = (300, 3000)        # The telephone band, which carries most of the energy of speech.
STEP_S = Fraction(1, 100)           # The audio level is measured over steps of this length.
PAUSE_DEPTH_DB = 18.0               # A pause is at least this much quieter than the loud parts around it.
SILENCE_DB = -60.0                  # Audio below this level is silent, however quiet its surroundings are.
MIN_PAUSE_S = Fraction(15, 100)     # Gaps between the words of a sentence are shorter.


def find_speech_pauses(info: VideoInfo, from_s: Fraction, until_s: Fraction,
                       cues: Sequence[Cue]) -> list[Interval] | None:
    """Return the intervals within [from_s, until_s] without speech: between subtitles if there are any, else by audio.

    Args:
        info: properties of the video; unused if there are subtitles.
        from_s: start of the range, in seconds from the first frame.
        until_s: end of the range.
        cues: the video's subtitles, if any.

    Returns:
        Ascending intervals, both ends included; None if no pause can be detected, e.g. in music or without audio.
    """
    if cues:
        return _gaps_between(cues, from_s, until_s)
    return audio_pauses(info, from_s, until_s) or None if info.has_audio else None


def _gaps_between(cues: Sequence[Cue], from_s: Fraction, until_s: Fraction) -> list[Interval]:
    gaps, last_end_s = [], from_s
    for cue in sorted(cues, key=lambda c: c.start_s):
        start_s, end_s = (Fraction(t).limit_denominator(1000) for t in (cue.start_s, cue.end_s))
        if end_s <= from_s or start_s >= until_s:
            continue
        if start_s >= last_end_s:
            gaps.append((last_end_s, start_s))
        last_end_s = max(last_end_s, end_s)
    return [*gaps, (last_end_s, until_s)] if last_end_s <= until_s else gaps


def audio_pauses(info: VideoInfo, from_s: Fraction, until_s: Fraction) -> list[Interval]:
    """Return the intervals within [from_s, until_s] where the audio has a pause in speech; see `quiet_runs`."""
    n_samples, parts, n_read = round((until_s - from_s) * RATE_HZ), [], 0
    for samples in read_samples(info.path, info.start_s, from_s, RATE_HZ, "mono"):
        parts.append(samples[0])
        n_read += samples.shape[1]
        if n_read >= n_samples:
            break
    audio = np.concatenate([*parts, np.zeros(max(0, n_samples - n_read), np.float32)])[:n_samples]
    return [(from_s + first * STEP_S, from_s + last * STEP_S) for first, last in quiet_runs(audio)]


def quiet_runs(audio: np.ndarray) -> list[tuple[int, int]]:
    """Return the pauses in speech: runs of at least 0.15 s that are 18 dB quieter than the loud parts.

    The level is the power between 300 and 3000 Hz over 10 ms; the loud parts are its 95th percentile.

    Args:
        audio: (n,) mono samples at 8 kHz.

    Returns:
        Ascending [first, last) in steps of 10 ms.
    """
    step = int(RATE_HZ * STEP_S)
    n_steps = len(audio) // step
    if n_steps == 0:
        return []
    from scipy.signal import butter, sosfilt  # Imported here because it takes 1.5 s, and only shorts need it.

    speech = sosfilt(butter(4, SPEECH_BAND_HZ, "bandpass", fs=RATE_HZ, output="sos"), audio)
    power = (speech[:n_steps * step].reshape(n_steps, step) ** 2).mean(axis=1)   # (n,) -> (steps, samples) -> (steps,)
    level_db = 10 * np.log10(power + 1e-12)
    loud_db = np.percentile(level_db, 95)
    quiet = level_db < max(loud_db - PAUSE_DEPTH_DB, SILENCE_DB)
    changes = np.diff(np.concatenate([[0], quiet.astype(np.int8), [0]]))
    runs = zip(np.flatnonzero(changes == 1), np.flatnonzero(changes == -1), strict=True)
    return [(int(a), int(b)) for a, b in runs if (b - a) * STEP_S >= MIN_PAUSE_S]
