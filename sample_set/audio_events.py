"""Synthetic audio events: each class has a synthesizer and the phrases that describe it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt

from .script import AudioEvent

Synth = Callable[[int, int, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class AudioClass:
    """A class of audio events.

    Attributes:
        synth: the synthesizer: number of samples, sampling rate and random generator to samples.
        clauses: phrases of training queries.
        held_out: phrases held out for evaluation.
        queried: True if queries name the class; otherwise it is only a distractor.
    """

    synth: Synth
    clauses: tuple[str, ...]
    held_out: tuple[str, ...]
    queried: bool = True


def _time_s(n: int, rate_hz: int) -> np.ndarray:
    return np.arange(n) / rate_hz


def _noise(n: int, rate_hz: int, rng: np.random.Generator, low_hz: float, high_hz: float) -> np.ndarray:
    """Return white noise between two frequencies."""
    band = butter(2, [low_hz, high_hz], btype="bandpass", fs=rate_hz, output="sos")
    return sosfilt(band, rng.standard_normal(n))


def _slow(n: int, rng: np.random.Generator, rate_hz: int, period_s: float) -> np.ndarray:
    """Return a smooth random curve in [0, 1] with a new random value every `period_s` seconds."""
    knots = rng.random(int(n / rate_hz / period_s) + 3)
    return np.interp(np.arange(n) / (rate_hz * period_s), np.arange(len(knots)), knots)


def _strike(n: int, rate_hz: int, starts_s: np.ndarray, hit: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Return `n` samples with one short sample repeated at several times."""
    train = np.zeros(n)
    at = np.round(starts_s * rate_hz).astype(int)
    inside = (at >= 0) & (at < n)
    np.add.at(train, at[inside], gains[inside])
    return fftconvolve(train, hit)[:n]


def _every(n: int, rate_hz: int, period_s: float, rng: np.random.Generator, jitter: float) -> np.ndarray:
    """Return times from 0 to the end at intervals of `period_s`, with a random deviation of up to `jitter` periods."""
    starts = np.arange(0, n / rate_hz, period_s)
    return np.maximum(0, starts + rng.uniform(-jitter, jitter, len(starts)) * period_s)


def alarm(n: int, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Synthesize an alarm clock: groups of short beeps with odd harmonics."""
    t = _time_s(n, rate_hz)
    pitch_hz = rng.uniform(1700, 2400)
    beat_hz = rng.uniform(3, 5)
    tone = sum(np.sin(2 * np.pi * k * pitch_hz * t) / k for k in (1, 3))
    return tone * ((t * beat_hz) % 1 < 0.5) * ((t * beat_hz / 4) % 1 < 0.8)


def siren(n: int, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Synthesize the siren of a fire engine: a tone that rises and falls."""
    t = _time_s(n, rate_hz)
    period_s = rng.uniform(1.2, 2.5)
    pitch_hz = rng.uniform(750, 950) + rng.uniform(200, 320) * np.sin(2 * np.pi * t / period_s)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate_hz
    return np.sin(phase) + 0.3 * np.sin(2 * phase)


def bell(n: int, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Synthesize a church bell: inharmonic partials that ring out, struck every second or two."""
    t = _time_s(min(n, 3 * rate_hz), rate_hz)
    pitch_hz = rng.uniform(280, 420)
    partials = ((0.5, 0.6, 0.8), (1, 1, 1.2), (1.19, 0.8, 1.5), (1.5, 0.5, 2), (2, 0.7, 2.2), (2.76, 0.4, 4))
    hit = np.sum([a * np.exp(-decay * t) * np.sin(2 * np.pi * r * pitch_hz * t) for r, a, decay in partials], axis=0)
    starts = _every(n, rate_hz, rng.uniform(1.1, 1.8), rng, 0.03)
    return _strike(n, rate_hz, starts, hit, rng.uniform(0.7, 1, len(starts)))


def clock(n: int, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Synthesize a ticking clock: dry clicks, every second one a little lower."""
    t = _time_s(int(0.03 * rate_hz), rate_hz)
    starts = _every(n, rate_hz, rng.choice([0.25, 0.5]), rng, 0.01)
    pitch_hz = rng.uniform(2800, 3600)
    ticks = [np.exp(-250 * t) * np.sin(2 * np.pi * f * t) for f in (pitch_hz, 0.75 * pitch_hz)]
    return np.sum([_strike(n, rate_hz, starts[i::2], tick, np.ones(len(starts[i::2])))
                   for i, tick in enumerate(ticks)], axis=0)


def engine(n: int, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Synthesize an engine: a low, slightly unsteady harmonic rumble."""
    speed_hz = rng.uniform(28, 45) * (1 + 0.35 * _slow(n, rng, rate_hz, 2.0))
    phase = 2 * np.pi * np.cumsum(speed_hz) / rate_hz
    harmonics = sum(np.sin(k * phase + k * k) / k**0.7 for k in range(1, 11))
    return harmonics * (0.8 + 0.2 * np.sin(phase / 2)) + 0.3 * _noise(n, rate_hz, rng, 60, 400)


def wind(n: int, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Synthesize wind: low noise that swells, with a faint whistle."""
    gust = 0.25 + 0.75 * _slow(n, rng, rate_hz, 1.5)
    return gust * (_noise(n, rate_hz, rng, 90, 500) + 0.25 * gust * _noise(n, rate_hz, rng, 700, 900))


def rain(n: int, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Synthesize rain: steady high noise and single drops."""
    t = _time_s(int(0.01 * rate_hz), rate_hz)
    drop = np.exp(-500 * t) * np.sin(2 * np.pi * rng.uniform(3000, 5000) * t)
    starts = rng.uniform(0, n / rate_hz, int(25 * n / rate_hz))
    drops = _strike(n, rate_hz, starts, drop, rng.exponential(1.5, len(starts)))
    return _noise(n, rate_hz, rng, 2500, 12000) + drops


def birds(n: int, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Synthesize birdsong: quick falling and rising chirps in groups."""
    t = _time_s(int(0.09 * rate_hz), rate_hz)
    out = np.zeros(n)
    for _ in range(3):
        low_hz, bend_hz = rng.uniform(3000, 5000), rng.uniform(-1500, 1800)
        chirp = np.sin(2 * np.pi * (low_hz * t + bend_hz * t**2 / (2 * t[-1]))) * np.hanning(len(t))
        groups = _every(n, rate_hz, rng.uniform(0.8, 1.4), rng, 0.25)
        starts = (groups[:, None] + 0.12 * np.arange(4)).ravel()
        out += _strike(n, rate_hz, starts, chirp, rng.uniform(0.2, 1, len(starts)))
    return out


def applause(n: int, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Synthesize applause: hundreds of hand claps."""
    t = _time_s(int(0.02 * rate_hz), rate_hz)
    out = np.zeros(n)
    for _ in range(4):
        clap = np.exp(-220 * t) * _noise(len(t), rate_hz, rng, 700, 3000)
        starts = rng.uniform(0, n / rate_hz, int(25 * n / rate_hz))
        out += _strike(n, rate_hz, starts, clap, rng.uniform(0.2, 1, len(starts)))
    return out


def music(n: int, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Synthesize a piano: plucked notes of one pentatonic scale."""
    t = _time_s(int(0.9 * rate_hz), rate_hz)
    root_hz = rng.uniform(220, 330)
    starts = _every(n, rate_hz, rng.uniform(0.25, 0.4), rng, 0.02)
    notes = rng.integers(0, 8, len(starts))
    scale = root_hz * 2 ** (np.array([0, 2, 4, 7, 9, 12, 14, 16]) / 12)
    out = np.zeros(n)
    for i, pitch_hz in enumerate(scale):
        note = sum(np.exp(-(3 + k) * t) * np.sin(2 * np.pi * k * pitch_hz * t) / k**1.5 for k in range(1, 6))
        out += _strike(n, rate_hz, starts[notes == i], note, np.ones((notes == i).sum()))
    return out


def heartbeat(n: int, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Synthesize a heartbeat: two dull thumps per beat."""
    t = _time_s(int(0.15 * rate_hz), rate_hz)
    thump = np.exp(-30 * t) * np.sin(2 * np.pi * rng.uniform(55, 75) * t)
    starts = _every(n, rate_hz, rng.uniform(0.7, 1), rng, 0.03)
    both = np.concatenate([starts, starts + 0.22])
    return _strike(n, rate_hz, both, thump, np.repeat([1.0, 0.7], len(starts)))


def voice(n: int, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Synthesize speech without words: a buzz filtered by changing vowel formants, four syllables per second."""
    low_hz = 8000                                             # Sufficient for speech, and fast.
    m = int(np.ceil(n * low_hz / rate_hz))
    t = np.arange(m) / low_hz
    pitch_hz = rng.uniform(95, 210) * (0.85 + 0.3 * _slow(m, rng, low_hz, 0.6))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / low_hz
    vowels_hz = np.array([[730, 1090], [270, 2290], [300, 870], [530, 1840], [570, 840]])
    syllables = vowels_hz[rng.integers(0, len(vowels_hz), int(4 * m / low_hz) + 2)]
    first_hz, second_hz = (np.interp(t * 4, np.arange(len(syllables)), syllables[:, i]) for i in range(2))
    out = np.zeros(m)
    for k in range(1, 17):
        freq_hz = k * pitch_hz
        gain = np.exp(-(((freq_hz - first_hz) / 150) ** 2)) + 0.5 * np.exp(-(((freq_hz - second_hz) / 250) ** 2))
        out += (gain + 0.02) * np.sin(k * phase)
    speaks = (_slow(m, rng, low_hz, 0.6) > 0.12) | (t < 0.5)        # Short pauses, but none at the start.
    out *= np.clip(1.2 * np.sin(np.pi * ((t * 4) % 1)), 0, 1) * speaks
    return resample_poly(out, rate_hz, low_hz)[:n]


AUDIO_CLASSES = {
    "alarm": AudioClass(alarm,
                       ("an alarm is beeping", "an alarm goes off", "an alarm clock beeps again and again",
                        "the beeping of an alarm is heard"),
                       ("an alarm clock rings", "a beeping alarm")),
    "siren": AudioClass(siren,
                       ("a siren is wailing", "the siren of a fire engine is heard", "a police siren goes up and down",
                        "a siren howls"),
                       ("a wailing siren passes", "an ambulance siren sounds")),
    "bell": AudioClass(bell,
                      ("a bell is ringing", "a church bell tolls", "the bell strikes", "bells are heard"),
                      ("church bells ring", "the ringing of a bell")),
    "clock": AudioClass(clock,
                       ("a clock is ticking", "the ticking of a clock is heard", "a watch ticks",
                        "the clock goes tick tock"),
                       ("the tick of a clock", "a ticking watch can be heard"), queried=False),
    "engine": AudioClass(engine,
                        ("an engine is running", "the rumble of an engine is heard", "a motor idles",
                         "an engine drones"),
                        ("a running motor", "the engine hums")),
    "wind": AudioClass(wind,
                      ("the wind is blowing", "wind howls", "the noise of wind is heard", "a strong wind blows"),
                      ("a windy storm", "gusts of wind"), queried=False),
    "rain": AudioClass(rain,
                      ("rain is falling", "the sound of rain is heard", "it is raining", "rain patters"),
                      ("a rain shower comes down", "raindrops are falling")),
    "birds": AudioClass(birds,
                       ("birds are singing", "birds chirp", "the song of birds is heard", "a bird is twittering"),
                       ("birdsong", "the birds twitter")),
    "applause": AudioClass(applause,
                          ("people are clapping", "the audience applauds", "applause is heard",
                           "a crowd claps its hands"),
                          ("an audience is clapping", "applauding people")),
    "music": AudioClass(music,
                       ("music is playing", "somebody plays the piano", "a melody is heard", "a piano is playing"),
                       ("piano music", "a tune is played")),
    "heartbeat": AudioClass(heartbeat,
                           ("a heart is beating", "a heartbeat is heard", "the heart goes thump thump",
                            "a slow heartbeat sounds"),
                           ("the beating of a heart", "a pulse is throbbing"), queried=False),
    "voice": AudioClass(voice,
                       ("somebody is talking", "a voice is heard", "a person speaks", "the narrator is talking"),
                       ("people talk", "a speaking voice")),
}


def synthesize(kind: str, n: int, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Return `n` float32 samples of a class: a root mean square of 0.12, or less if the peak would exceed 0.9."""
    wave = AUDIO_CLASSES[kind].synth(n, rate_hz, rng)
    loud = max(float(np.sqrt(np.mean(wave**2))) / 0.12, float(np.abs(wave).max()) / 0.9, 1e-9)
    return (wave / loud).astype(np.float32)


def mix(spans: Iterable[AudioEvent], duration_s: float, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Return the audio track of a video: all audio events over faint room noise.

    Args:
        spans: the audio events; overlapping events are added.
        duration_s: duration of the video.
        rate_hz: sampling rate.
        rng: source of the room noise.

    Returns:
        (duration_s * rate_hz,) float32 in [-1, 1].
    """
    track = 0.002 * rng.standard_normal(round(duration_s * rate_hz)).astype(np.float32)
    for span in spans:
        first, last = round(span.start_s * rate_hz), min(round(span.end_s * rate_hz), len(track))
        n = last - first
        gain = 10 ** (np.linspace(span.level_db[0], span.level_db[1], n, dtype=np.float32) / 20)
        edge = min(n // 2, rate_hz // 10)                      # Fades of a tenth of a second.
        gain[:edge] *= np.linspace(0, 1, edge, dtype=np.float32)
        gain[n - edge:] *= np.linspace(1, 0, edge, dtype=np.float32)
        track[first:last] += gain * synthesize(span.kind, n, rate_hz, np.random.default_rng(span.seed))
    return np.clip(track, -1, 1)
