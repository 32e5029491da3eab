"""Shot segmentation (KTS), hard cuts, and trimming of pieces to their shots."""

from .segmentation import change_points

__all__ = ["change_points"]
