"""Sentences made from the video itself, shot by shot, for when nobody gave any."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from common.errors import InputError
from models.device import best_device
from models.encoders import Encoders
from models.encoders.weights import CACHE_VARIABLE, cache_folder
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.video_reader import frames_at

SECOND = 0.5     # a second name is told when it is at least so likely as the first
UNSURE = 0.5     # below this likelihood a caption says that it guesses
NAMELESS = 0.1   # below this one there is nothing to guess: on footage of roads it was spatulas and nematodes
UNNAMED = "This shows nothing that the vocabulary has a name for."
BLANK = "This shows nothing: the picture is of one brightness."
UNCOUNTED = frozenset((   # of ImageNet's names, those without an article
    "binoculars", "broccoli", "carbonara", "cauliflower", "chocolate sauce", "corn", "dough", "eggnog", "guacamole",
    "hay", "ice cream", "mashed potato", "parallel bars", "rapeseed", "red wine", "sunglasses", "swimming trunks",
    "toilet tissue", "velvet", "wool"))
PAIRS = dict(jean="jeans", sunglass="sunglasses")   # that ImageNet names by one leg or glass
SILENT, LIKE_CONSONANTS = ("hour", "honest", "heir"), ("uni", "euro", "one ")   # beginnings that sound otherwise
BLIP = "blip-image-captioning-base"
BLIP_FILES = ("config.json", "preprocessor_config.json", "tokenizer_config.json")


@dataclass(frozen=True)
class Caption:
    """What a shot shows.

    Attributes:
        start_s: where the shot starts.
        end_s: where it ends, exclusive.
        text: a sentence.
    """

    start_s: Fraction
    end_s: Fraction
    text: str


class Captioner:
    """Says what shots show."""

    def sentences(self, video: EncodedVideo, shots: np.ndarray) -> list[str]:
        """A sentence for every shot.

        Args:
            video: with all the features that the captioner looks at.
            shots: (S, 2) clips, first and last inclusive.
        """
        raise NotImplementedError

    def captions(self, video: EncodedVideo, shots: np.ndarray) -> list[Caption]:
        """The shots' sentences with their times; neighbours of one sentence are one."""
        edges, found = video.edges_s, []
        for (first, last), text in zip(shots, self.sentences(video, shots), strict=True):
            start_s, end_s = edges[first], edges[last + 1]
            if found and found[-1].text == text:
                found[-1] = Caption(found[-1].start_s, end_s, text)
            else:
                found.append(Caption(start_s, end_s, text))
        return found


class VocabularyCaptioner(Captioner):
    """Names the one or two likeliest things in the visual encoder's vocabulary; nothing is decoded or fetched.

    Args:
        encoders: those that the video was encoded with.
    """

    def __init__(self, encoders: Encoders):
        self.encoders = encoders

    def sentences(self, video: EncodedVideo, shots: np.ndarray) -> list[str]:
        """See `Captioner.sentences`."""
        names, likelihood = self.encoders.visual.classify(video.visual, self.encoders.text)
        blank = video.blank_clips
        return [BLANK if blank[first:last + 1].all() else
                _sentence(names, likelihood[first:last + 1][~blank[first:last + 1]].mean(axis=0))
                for first, last in shots]


def _sentence(names: list[str], likelihood: np.ndarray) -> str:
    """Two things that are both likely are seen together; two that are both unlikely are one thing, this or that."""
    first, second = np.argsort(-likelihood, kind="stable")[:2]
    if likelihood[first] < NAMELESS:
        return UNNAMED
    unsure = likelihood[first] < UNSURE
    things = _with_article(names[first])
    if likelihood[second] >= SECOND * likelihood[first]:
        things += f" {'or' if unsure else 'and'} {_with_article(names[second])}"
    return f"This {'may show' if unsure else 'shows'} {things}."


def _with_article(name: str) -> str:
    """`a dog`, `an apple`, `an hourglass`, `a unicycle`, `sunglasses`, `hay`."""
    if name in UNCOUNTED or name in PAIRS:
        return PAIRS.get(name, name)
    vowel = name.lower().startswith(tuple("aeiou") + SILENT) and not name.lower().startswith(LIKE_CONSONANTS)
    return f"{'an' if vowel else 'a'} {name}"


def whole_sentence(text: str) -> str:
    """The text with a capital letter and an end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


class BlipCaptioner(Captioner):
    """BLIP (Li et al., ICML 2022) through `transformers`, on the picture in the middle of every shot.

    Args:
        folder: of the model in the format of `transformers`, with `.safetensors` weights;
            `blip-image-captioning-base` in the cache folder when left out.
        max_words: of a caption, in tokens.

    Raises:
        InputError: no such model there.
    """

    def __init__(self, folder: str | Path | None = None, max_words: int = 20):
        from safetensors import SafetensorError
        from transformers import BlipForConditionalGeneration, BlipProcessor

        self.folder = Path(folder) if folder is not None else cache_folder() / BLIP
        lacking = [name for name in BLIP_FILES if not (self.folder / name).is_file()]
        if lacking or not list(self.folder.glob("*.safetensors")):
            raise InputError(f"{self.folder}: no BLIP model ({', '.join(lacking) or '*.safetensors'} lacks); fetch all "
                             f"files of https://huggingface.co/Salesforce/{BLIP} into this folder ({CACHE_VARIABLE} "
                             "names another cache), or take the embedded captioner")
        try:
            self.processor = BlipProcessor.from_pretrained(self.folder, local_files_only=True)
            model, loading = BlipForConditionalGeneration.from_pretrained(
                self.folder, local_files_only=True, use_safetensors=True, output_loading_info=True)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as err:
            raise InputError(f"{self.folder}: not a BLIP captioning model ({err}); fetch its files again") from err
        lacking = sorted(loading["missing_keys"])
        if lacking:   # transformers would fill them with random numbers
            raise InputError(f"{self.folder}: lacks {len(lacking)} weights of a BLIP captioning model, {lacking[0]}; "
                             "fetch its files again")
        self.model = model.eval().to(best_device())
        self.max_words = max_words

    def sentences(self, video: EncodedVideo, shots: np.ndarray) -> list[str]:
        """See `Captioner.sentences`; the same picture gives the same sentence."""
        edges = video.edges_s
        middles = [(edges[first] + edges[last + 1]) / 2 for first, last in shots]
        with contextlib.closing(frames_at(video.info.path, middles)) as pictures:
            return [self._say(picture) for _, picture in pictures]

    @torch.no_grad()
    def _say(self, picture: np.ndarray) -> str:
        inputs = self.processor(images=Image.fromarray(picture), return_tensors="pt").to(self.model.device)
        tokens = self.model.generate(**inputs, max_new_tokens=self.max_words, do_sample=False, num_beams=1)
        return whole_sentence(self.processor.decode(tokens[0], skip_special_tokens=True).strip() or "a video")


CAPTIONERS = {"vocabulary": VocabularyCaptioner, "blip": lambda encoders: BlipCaptioner()}


def build_captioner(name: str, encoders: Encoders) -> Captioner:
    """The captioner of a name: `vocabulary`, the embedded one, or `blip`.

    Raises:
        InputError: another name, or BLIP's files are not at hand.
    """
    if name not in CAPTIONERS:
        raise InputError(f"captioner {name!r}: choose {' or '.join(CAPTIONERS)}")
    return CAPTIONERS[name](encoders)
