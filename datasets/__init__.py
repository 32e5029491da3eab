"""Datasets registered in nncore's DATASETS, and metrics in `datasets.eval`, which do not need torch."""

import importlib

_MODULES = {
    "CharadesSTA": "charades_sta", "DATASETS": "qvhighlights",
    "HotstarHighlight865": "hotstar_highlight_865", "QVHighlights": "qvhighlights",
    "SummarizationH5": "summarization_h5", "SummarizationQueries": "summarization_queries", "TVSum": "tvsum",
    "YouTubeHighlights": "youtube_highlights"}


def __getattr__(name: str):
    """Import the classes at first use, so that the metrics can be imported without torch."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)


def register() -> None:
    """Register all dataset classes in nncore's DATASETS."""
    for module in sorted(set(_MODULES.values())):
        importlib.import_module(f".{module}", __name__)
