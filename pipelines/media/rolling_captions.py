"""Remove the repetitions of rolling captions, which show each line again while the next one is spoken.

YouTube's automatic captions are the most common ones: every cue repeats the line of the cue before it, and a cue of
10 ms stands between the two. Live captions (roll-up captions of CEA-608) repeat two or three lines.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .cues import Cue, Word

MAX_GAP_S = 0.1           # A repetition follows the repeated cue at most this much later.
MAX_HOLD_S = 0.05         # A repetition without new words that is shown this briefly is an artifact, never speech.
MIN_REPEATED_WORDS = 3    # Fewer repeated words at the start of a single line may be a coincidence.
MIN_ROLLING_SHARE = 0.4   # In rolling captions, at least this share of the cues repeat the cue before them ...
MIN_ROLLING_CUES = 2      # ... and at least this many, unless the words have times.
MIN_HELD_SHARE = 0.25     # Repetitions without new words are removed if there are two, and at least this share.
MAX_DISPLAYED_WORDS = 100


@dataclass(frozen=True)
class DisplayedCue:
    """A cue as it is displayed, before repetitions are removed.

    Attributes:
        start_s: start in seconds.
        end_s: end in seconds, exclusive.
        lines: the lines, none of them empty.
        words: the words that have times.
    """

    start_s: float
    end_s: float
    lines: tuple[str, ...]
    words: tuple[Word, ...] = ()

    def to_cue(self) -> Cue:
        """Return the cue with its lines joined."""
        return Cue(self.start_s, self.end_s, " ".join(self.lines), self.words)


def without_repetitions(cues: Sequence[DisplayedCue]) -> list[Cue]:
    """Return cues that show each line once, when it appears, if the captions are rolling; else all cues.

    If a quarter of the cues last at most 50 ms and repeat the cue before them, these are removed from any captions.

    Args:
        cues: ascending by start.
    """
    repeated = _count_repeated_words(cues)
    held = [_is_held(cues, repeated, i) for i in range(len(cues))]
    enough = 1 if any(cue.words for cue in cues) else MIN_ROLLING_CUES
    rolling = _are_rolling(cues, repeated, sum(held), enough)
    removes_held = sum(held) >= max(enough, MIN_HELD_SHARE * (len(cues) - 1))
    kept: list[Cue] = []
    for i, cue in enumerate(cues):
        if rolling and repeated[i]:
            kept += [new.to_cue() for new in _without_words(cue, repeated[i])]
        elif not (held[i] and removes_held):
            kept.append(cue.to_cue())
    return kept


def _count_repeated_words(cues: Sequence[DisplayedCue]) -> list[int]:
    """Return how many words at the start of each cue are the last words of the cue before it.

    They count only if they are complete lines, or include all words that were new in the cue before.
    """
    repeated: list[int] = []
    before: list[str] = []   # The words of the cue before.
    n_new = 0                # The number of words at its end that were new when they appeared.
    for i, cue in enumerate(cues):
        words = [word for line in cue.lines for word in line.split()]
        follows = i > 0 and cue.start_s - cues[i - 1].end_s <= MAX_GAP_S
        lengths = range(min(len(before), len(words), MAX_DISPLAYED_WORDS), 0, -1) if follows else ()
        lines = _line_ends(cue.lines) & _line_ends(cues[i - 1].lines[::-1]) if follows else set()
        n_repeated = next((n for n in lengths if (n >= n_new or n in lines) and before[-n:] == words[:n]), 0)
        repeated.append(n_repeated)
        n_new = len(words) - n_repeated or n_new
        before = words
    return repeated


def _are_rolling(cues: Sequence[DisplayedCue], repeated: Sequence[int], n_held: int, enough: int) -> bool:
    n_rolled = 0
    for i, cue in enumerate(cues):
        if repeated[i] and not _is_complete(cue, repeated[i]):
            n_rolled += repeated[i] in _line_ends(cue.lines) or repeated[i] >= MIN_REPEATED_WORDS
    return n_rolled > 0 and n_rolled + n_held >= max(enough, MIN_ROLLING_SHARE * (len(cues) - 1))


def _is_held(cues: Sequence[DisplayedCue], repeated: Sequence[int], i: int) -> bool:
    """Return True if a cue only shows words of the cue before it for another moment."""
    cue = cues[i]
    return (_is_complete(cue, repeated[i]) and 0 < cue.end_s - cue.start_s <= MAX_HOLD_S
            and cues[i - 1].end_s - cues[i - 1].start_s > MAX_HOLD_S)


def _is_complete(cue: DisplayedCue, n_words: int) -> bool:
    return n_words > 0 and n_words == sum(len(line.split()) for line in cue.lines)


def _line_ends(lines: Sequence[str]) -> set[int]:
    """Return the numbers of words after which a line ends and another one follows."""
    return set(itertools.accumulate(len(line.split()) for line in lines[:-1]))


def _without_words(cue: DisplayedCue, n_words: int) -> list[DisplayedCue]:
    """Return a cue without its first words, or nothing if it has no other words."""
    lines = []
    for line in cue.lines:
        words = line.split()
        if n_words < len(words):
            lines.append(line if n_words == 0 else " ".join(words[n_words:]))
        n_words = max(0, n_words - len(words))
    n_new = sum(len(line.split()) for line in lines)
    return [replace(cue, lines=tuple(lines), words=cue.words[-n_new:])] if lines else []
