"""The sentences that a video is scored by: those that were asked, or else what is said or seen in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.encoders.base import normalize_rows
from pipelines.media.subtitles import Cue

from .captions import BLANK, UNNAMED, Caption
from .relevance import likeness_by_clip

ASKED, SUBTITLES, CAPTIONS = "asked", "subtitles", "captions"
MOST = 48   # sentences of a video's own; more lines are joined to so many passages, of more captions so many are taken


@dataclass(frozen=True)
class Sentence:
    """What a video was scored by.

    Attributes:
        text: as asked, said or seen.
        source: `asked`, `subtitles` or `captions`.
        start_s: from when on it is said or seen; None for what was asked, which is of the whole video.
        end_s: until when, exclusive, likewise.
    """

    text: str
    source: str
    start_s: float | None = None
    end_s: float | None = None

    def to_json(self) -> dict[str, str | float | None]:
        """As `sentences` in summary.json has it, times in seconds."""
        start, end = (None if t is None else round(t, 3) for t in (self.start_s, self.end_s))
        return dict(text=self.text, source=self.source, start=start, end=end)


def asked(texts: Sequence[str]) -> tuple[Sentence, ...]:
    """Sentences that somebody gave."""
    return tuple(Sentence(text, ASKED) for text in texts)


def from_video(cues: Sequence[Cue], captions: Sequence[Caption]) -> tuple[Sentence, ...]:
    """The video's own sentences: what is said in it, else what its shots show; at most 48.

    More lines than that are joined, so many neighbours to a passage that none is left out; of more captions, which are
    likely to repeat themselves, 48 are taken evenly. Captions that name nothing tell nothing and are left out.
    """
    lines = [cue for cue in cues if cue.text.strip()]
    if lines:
        together = -(-len(lines) // MOST)
        return tuple(_passage(lines[i:i + together]) for i in range(0, len(lines), together))
    told = [caption for caption in captions if caption.text not in (UNNAMED, BLANK)]
    chosen = np.unique(np.linspace(0, len(told) - 1, min(len(told), MOST)).round().astype(int)) if told else []
    return tuple(Sentence(told[i].text, CAPTIONS, float(told[i].start_s), float(told[i].end_s)) for i in chosen)


def _passage(lines: Sequence[Cue]) -> Sentence:
    return Sentence(" ".join(line.text.strip() for line in lines), SUBTITLES, min(line.start_s for line in lines),
                    max(line.end_s for line in lines))


def central(rows: np.ndarray, sentences: Sequence[Sentence], edges_s: np.ndarray) -> np.ndarray:
    """How much of what the whole video says is said in each clip (centroids of texts: Radev et al., 2004).

    Args:
        rows: (N, D) embeddings of the sentences.
        sentences: N of them, with times.
        edges_s: (T + 1,), clip i is [edges_s[i], edges_s[i + 1]).

    Returns:
        (T,) in [0, 1]: by the cosine of the sentence spoken then and the mean of all, 1 the nearest; 0 where nothing is
        said, and everywhere where all say the same.
    """
    unit = normalize_rows(np.asarray(rows, dtype=np.float64))
    likeness = unit @ unit.mean(axis=0)
    low, high = likeness.min(), likeness.max()
    if high - low < 1e-6:
        return np.zeros(len(edges_s) - 1)
    cues = [Cue(sentence.start_s, sentence.end_s, sentence.text) for sentence in sentences]
    return likeness_by_clip((likeness - low)[None] / (high - low), cues, edges_s)[0]
