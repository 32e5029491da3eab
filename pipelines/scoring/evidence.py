"""Sources of text in a video that support queries, such as subtitles.

To add another kind of evidence, for example speech recognition or on-screen text, subclass `Evidence` and pass an
instance to a scorer. Scorers depend on this interface only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import reduce

import numpy as np

from common.progress import ReportProgress
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.subtitles import Cue

from .queries import EmbeddedQueries


class Evidence(ABC):
    """A source of text in a video that supports queries."""

    @abstractmethod
    def match(self, video: EncodedVideo, texts: Sequence[str], cues: Sequence[Cue],
              report_progress: ReportProgress = None) -> np.ndarray | None:
        """Return how strongly this source supports each query in each clip.

        Args:
            video: the encoded video, T clips.
            texts: Q queries.
            cues: subtitles of the video.
            report_progress: called with the finished share, from 0 to 1, if the work can take long.

        Returns:
            (Q, T) in [0, 1]: 0 without support, 1 where the source repeats the query. None if the video has no
            such source.
        """

    def centrality(self, video: EncodedVideo, queries: EmbeddedQueries) -> np.ndarray | None:
        """Return how well the text of each clip represents the text of the complete video.

        Used if the user gives no query.

        Args:
            video: the encoded video, T clips.
            queries: sentences from the video.

        Returns:
            (T,) in [0, 1], or None if the queries do not come from this source; this is the default.
        """
        return None


def combined_match(evidence: Sequence[Evidence], video: EncodedVideo, texts: Sequence[str],
                   cues: Sequence[Cue], report_progress: ReportProgress = None) -> np.ndarray | None:
    """Return the strongest support (Q, T) by any source, or None if there is none; see `Evidence.match`."""
    matches = [source.match(video, texts, cues, report_progress) for source in evidence]
    found = [match for match in matches if match is not None]
    return reduce(np.maximum, found) if found else None
