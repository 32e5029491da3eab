"""Shot segmentation, hard-cut detection, and trimming of pieces at shot boundaries."""

from .segmentation import change_points

__all__ = ["change_points"]
