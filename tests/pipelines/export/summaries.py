"""Results with known scores, moments and shots, for the tests of reports and JSON."""

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np

from pipelines.features.encoded_video import EncodedVideo
from pipelines.result import Result
from pipelines.scoring.moments import Moment
from pipelines.scoring.scorers import NOVELTY, ZERO_SHOT


def make_result(video: EncodedVideo, texts=("red",), moments=None, cues=(), **provenance) -> Result:
    """Return a result for ten clips of two seconds, each its own shot; 2-4 s and 6-10 s are selected."""
    edges_s = [float(edge_s) for edge_s in video.edges_s]
    scores = np.linspace(0, 1, 10)
    provenance = dict(kind=ZERO_SHOT if texts else NOVELTY, visual="Eyes", text="Words", audio=None) | provenance
    if moments is None:
        moments = [Moment(7, 9, 0.9, text) for text in texts] + [Moment(12.0, 16.0, 0.4, text) for text in texts]
    return Result(video, tuple(texts), 0.3, scores, np.tile(scores[::-1], (len(texts), 1)), moments,
                  list(itertools.pairwise(edges_s)), [1, 3, 4], provenance, tuple(cues),
                  dict(encode=1.25, score=0.1))


def make_shorts(video: EncodedVideo, cues=()) -> Result:
    """Return a result with the shorts 1-3.5 s and 12-18 s; the second has the higher score."""
    return replace(make_result(video, cues=cues), mode="shorts",
                   pieces_s=[(Fraction(1), Fraction(7, 2)), (Fraction(12), Fraction(18))])
