"""Test doubles of the scoring package."""

from pipelines.scoring.captions import BLANK, UNNAMED, Captioner


class FixedCaptioner(Captioner):
    """A captioner that names something in the second and the fourth shot only."""

    def describe(self, video, shots):
        return [BLANK, "This shows red.", UNNAMED, "This shows blue.", BLANK][:len(shots)]
