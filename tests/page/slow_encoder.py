"""Encoders that wait as long as a file is there, so that a line forms; made in one process and used in another."""

import time
from pathlib import Path

from models.encoders.base import Encoders
from tests.pipelines.fakes import ColorTextEncoder, ColorVisualEncoder

LONGEST_S = 120


class SlowEyes(ColorVisualEncoder):
    def __init__(self, held: Path):
        super().__init__()
        self.held = held

    def forward(self, images):
        end_s = time.monotonic() + LONGEST_S
        while self.held.exists() and time.monotonic() < end_s:
            time.sleep(0.02)
        return super().forward(images)


def slow_encoders(held: Path) -> Encoders:
    return Encoders(SlowEyes(held).eval(), ColorTextEncoder().eval(), None)
