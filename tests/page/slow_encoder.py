"""Encoders that wait as long as a file exists, so that a queue forms; a function that can be pickled builds them."""

import time
from pathlib import Path

from models.encoders.base import Encoders
from tests.pipelines.fakes import ColorTextEncoder, ColorVisualEncoder

MAX_WAIT_S = 120


class SlowVisualEncoder(ColorVisualEncoder):
    def __init__(self, hold_file: Path):
        super().__init__()
        self.hold_file = hold_file

    def forward(self, images):
        end_s = time.monotonic() + MAX_WAIT_S
        while self.hold_file.exists() and time.monotonic() < end_s:
            time.sleep(0.02)
        return super().forward(images)


def slow_encoders(hold_file: Path) -> Encoders:
    return Encoders(SlowVisualEncoder(hold_file).eval(), ColorTextEncoder().eval(), None)
