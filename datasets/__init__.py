"""Datasets in nncore's DATASETS, and metrics in `datasets.eval`, which needs no torch."""

import importlib

_HOMES = {
    "CharadesSTA": "charades_sta", "DATASETS": "qvhighlights",
    "HotstarHighlight865": "hotstar_highlight_865", "QVHighlights": "qvhighlights",
    "SummarizationH5": "summarization_h5", "SummarizationQueries": "summarization_queries", "TVSum": "tvsum",
    "YouTubeHighlights": "youtube_highlights"}


def __getattr__(name: str):
    """Loads the classes at first use, so that the metrics can be imported without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def register() -> None:
    """Registers every class in nncore's DATASETS."""
    for home in sorted(set(_HOMES.values())):
        importlib.import_module(f".{home}", __name__)
