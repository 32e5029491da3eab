"""Models whose texts have known effects, and renderers for tests; all of them can be pickled."""

import time

from models.encoders.base import Encoders
from pipelines.summarizer import Summarizer
from tests.pipelines.fakes import ColorTextEncoder, ColorVisualEncoder

ENDLESS = "endless"


class EndlessTextEncoder(ColorTextEncoder):
    """A text encoder that never returns if a text contains the word "endless"."""

    def encode(self, texts):
        while any(ENDLESS in text for text in texts):
            sum(range(1000))
            time.sleep(0.001)   # Other processes can run, whatever the scheduling policy.
        return super().encode(texts)


def endless_encoders() -> Encoders:
    return Encoders(ColorVisualEncoder().eval(), EndlessTextEncoder().eval(), None)


def make_summarizer(make_encoders) -> Summarizer:
    return Summarizer(make_encoders())


def unrendered(response, request):
    return response


def unrendered_files(response, request, names, base_url):
    return response
