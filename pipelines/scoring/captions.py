"""Caption the shots of a video. The captions guide the scores if there is no query, and appear in the report."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from common.build import suggest_value
from common.errors import InputError
from models.device import best_device
from models.encoders import Encoders
from models.encoders.weights import CACHE_VARIABLE, cache_folder
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.video_reader import frames_at

MIN_SECOND_RATIO = 0.5         # A second name is used if its probability is at least this share of the first.
MIN_CERTAIN_PROBABILITY = 0.5  # Below this probability, the caption says "may show".
MIN_PROBABILITY = 0.1          # Below this probability, the names are wrong: road traffic gave spatulas and nematodes.
UNNAMED = "This shows nothing that the vocabulary has a name for."
BLANK = "This shows nothing: the picture is of one brightness."
NAMES_WITHOUT_ARTICLE = frozenset((   # Mass nouns and plurals among the class names of ImageNet.
    "binoculars", "broccoli", "carbonara", "cauliflower", "chocolate sauce", "corn", "dough", "eggnog", "guacamole",
    "hay", "ice cream", "mashed potato", "parallel bars", "rapeseed", "red wine", "sunglasses", "swimming trunks",
    "toilet tissue", "velvet", "wool"))
PLURALS = dict(jean="jeans", sunglass="sunglasses")   # Class names of ImageNet that are used in the plural only.
SILENT_H, CONSONANT_SOUNDS = ("hour", "honest", "heir"), ("uni", "euro", "one ")   # Exceptions for a and an.
BLIP = "blip-image-captioning-base"
BLIP_FILES = ("config.json", "preprocessor_config.json", "tokenizer_config.json")


@dataclass(frozen=True)
class Caption:
    """A sentence that describes one or more consecutive shots.

    Attributes:
        start_s: start in seconds.
        end_s: end in seconds, exclusive.
        text: the sentence.
    """

    start_s: Fraction
    end_s: Fraction
    text: str


class Captioner(ABC):
    """A captioner of the shots of a video."""

    @abstractmethod
    def describe(self, video: EncodedVideo, shots: np.ndarray) -> list[str]:
        """Return one sentence per shot.

        Args:
            video: the video, encoded by the encoders of the captioner.
            shots: (S, 2) first and last clip of each shot, inclusive.
        """

    def captions(self, video: EncodedVideo, shots: np.ndarray) -> list[Caption]:
        """Return the sentences of the shots with their times; consecutive equal sentences are merged."""
        edges = video.edges_s
        found: list[Caption] = []
        for (first, last), text in zip(shots, self.describe(video, shots), strict=True):
            start_s, end_s = edges[first], edges[last + 1]
            if found and found[-1].text == text:
                found[-1] = Caption(found[-1].start_s, end_s, text)
            else:
                found.append(Caption(start_s, end_s, text))
        return found


class VocabularyCaptioner(Captioner):
    """A captioner that names the one or two most probable classes of the visual encoder, without decoding.

    Args:
        encoders: the encoders of the videos.
    """

    def __init__(self, encoders: Encoders):
        self.encoders = encoders

    def describe(self, video: EncodedVideo, shots: np.ndarray) -> list[str]:
        """See `Captioner.describe`; the probabilities of a shot are averaged over its clips that are not blank."""
        return self.describe_features(video.visual, video.blank_clips, shots)

    def describe_features(self, visual: dict[str, np.ndarray], blank: np.ndarray, shots: np.ndarray) -> list[str]:
        """Return one sentence per shot of a video of which only the features are known.

        Args:
            visual: part of the visual features -> (T, width).
            blank: (T,) bool, True for clips without content.
            shots: (S, 2) first and last clip of each shot, inclusive.
        """
        names, probabilities = self.encoders.visual.classify(visual, self.encoders.text)
        return [BLANK if blank[first:last + 1].all() else
                class_sentence(names, probabilities[first:last + 1][~blank[first:last + 1]].mean(axis=0))
                for first, last in shots]


def class_sentence(names: list[str], probabilities: np.ndarray) -> str:
    """Return a sentence that names the most probable classes.

    Two probable classes are joined by "and", two improbable ones by "or", because they may be the same object.

    Args:
        names: C class names.
        probabilities: (C,) of the classes.
    """
    first, second = np.argsort(-probabilities, kind="stable")[:2]
    if probabilities[first] < MIN_PROBABILITY:
        return UNNAMED
    certain = probabilities[first] >= MIN_CERTAIN_PROBABILITY
    objects = with_article(names[first])
    if probabilities[second] >= MIN_SECOND_RATIO * probabilities[first]:
        objects += f" {'and' if certain else 'or'} {with_article(names[second])}"
    return f"This {'shows' if certain else 'may show'} {objects}."


def with_article(name: str) -> str:
    """Return a class name with its indefinite article: `a dog`, `an hourglass`, `a unicycle`, `hay`."""
    if name in NAMES_WITHOUT_ARTICLE or name in PLURALS:
        return PLURALS.get(name, name)
    vowel = name.lower().startswith(tuple("aeiou") + SILENT_H) and not name.lower().startswith(CONSONANT_SOUNDS)
    return f"{'an' if vowel else 'a'} {name}"


def to_sentence(text: str) -> str:
    """Return a text with a capital first letter and a final period."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


class BlipCaptioner(Captioner):
    """A captioner of the middle frame of each shot, with BLIP (Li et al., ICML 2022) from `transformers`.

    Args:
        folder: the model in the format of `transformers` with `.safetensors` weights; None for
            `blip-image-captioning-base` in the cache folder.
        max_words: maximum length of a caption in tokens.

    Raises:
        InputError: the folder contains no BLIP model, or a damaged one.
    """

    def __init__(self, folder: str | Path | None = None, max_words: int = 20):
        # Imported here because `transformers` takes seconds to load.
        from safetensors import SafetensorError
        from transformers import BlipForConditionalGeneration, BlipProcessor

        self.folder = Path(folder) if folder is not None else cache_folder() / BLIP
        missing = [name for name in BLIP_FILES if not (self.folder / name).is_file()]
        if missing or not list(self.folder.glob("*.safetensors")):
            raise InputError(self.folder, f"no BLIP model ({', '.join(missing) or '*.safetensors'} is missing)",
                             f"download all files of https://huggingface.co/Salesforce/{BLIP} into this folder "
                             f"({CACHE_VARIABLE} sets another cache folder), or use the embedded captioner")
        try:
            self.processor = BlipProcessor.from_pretrained(self.folder, local_files_only=True)
            model, loading = BlipForConditionalGeneration.from_pretrained(
                self.folder, local_files_only=True, use_safetensors=True, output_loading_info=True)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as err:
            raise InputError(self.folder, f"not a BLIP captioning model ({err})", "download its files again") from err
        missing = sorted(loading["missing_keys"])
        if missing:   # The library would initialize them with random numbers.
            raise InputError(self.folder, f"{len(missing)} weights of a BLIP captioning model are missing, e.g. "
                             f"{missing[0]}", "download its files again")
        self.model = model.eval().to(best_device())
        self.max_words = max_words

    def describe(self, video: EncodedVideo, shots: np.ndarray) -> list[str]:
        """See `Captioner.describe`; equal frames get equal sentences."""
        edges = video.edges_s
        middles = [(edges[first] + edges[last + 1]) / 2 for first, last in shots]
        with contextlib.closing(frames_at(video.info.path, middles)) as frames:
            return [self._describe_frame(frame) for _, frame in frames]

    @torch.no_grad()
    def _describe_frame(self, frame: np.ndarray) -> str:
        inputs = self.processor(images=Image.fromarray(frame), return_tensors="pt").to(self.model.device)
        tokens = self.model.generate(**inputs, max_new_tokens=self.max_words, do_sample=False, num_beams=1)
        return to_sentence(self.processor.decode(tokens[0], skip_special_tokens=True).strip() or "a video")


class DeferredCaptioner(Captioner):
    """A captioner that is built at first use, because a summary with queries needs no captions.

    Args:
        build: returns the captioner.
    """

    def __init__(self, build: Callable[[], Captioner]):
        self._build = build
        self._captioner: Captioner | None = None

    def load(self) -> Captioner:
        """Return the captioner, which is built at the first call.

        Raises:
            InputError: its files are missing or damaged.
        """
        if self._captioner is None:
            self._captioner = self._build()
        return self._captioner

    def describe(self, video: EncodedVideo, shots: np.ndarray) -> list[str]:
        """See `Captioner.describe`."""
        return self.load().describe(video, shots)


CAPTIONERS = {"vocabulary": VocabularyCaptioner, "blip": lambda encoders: BlipCaptioner()}


def build_captioner(name: str, encoders: Encoders) -> Captioner:
    """Build a captioner by its name: `vocabulary`, which is embedded, or `blip`.

    Raises:
        InputError: the name is unknown, or the files of BLIP are missing.
    """
    check_captioner(name)
    return CAPTIONERS[name](encoders)


def check_captioner(name: str) -> None:
    """Check the name of a captioner.

    Raises:
        InputError: the name is unknown.
    """
    if name not in CAPTIONERS:
        raise InputError(None, f"captioner {name!r} does not exist", suggest_value(name, CAPTIONERS))
