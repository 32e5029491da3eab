"""Encoders that take their time, so that a line forms."""

import time

from models.encoders.base import Encoders
from tests.pipelines.fakes import ColourEyes, ColourWords


class SlowEyes(ColourEyes):
    def forward(self, images):
        time.sleep(0.3)
        return super().forward(images)


def slow_encoders() -> Encoders:
    return Encoders(SlowEyes().eval(), ColourWords().eval(), None)
