"""Metrics as pure functions of predictions and labels; importing them does not need torch."""

from .agreement import f_score, rank_correlation
from .charades_sta import eval_charades
from .qvhighlights import eval_qvhighlights
from .summarization import eval_summaries
from .tvsum import tvsum_top5_map
from .youtube_highlights import youtube_map

__all__ = ["eval_charades", "eval_qvhighlights", "eval_summaries", "f_score", "rank_correlation", "tvsum_top5_map",
           "youtube_map"]
