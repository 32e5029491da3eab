"""The models to choose from: what each is, what it was measured at, and what it lacks if it cannot be had."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from common.build import suggest
from common.config import load_config
from common.errors import InputError
from common.paths import ROOT
from models.encoders import Encoders, build_encoders
from models.encoders.weights import CLIP, CNN14, cache_folder
from pipelines.scoring.builder import DEFAULT_CONFIG
from pipelines.summarizer import Summarizer, build_summarizer

CLIP_CONFIG = ROOT / "configs/zeroshot/clip.py"
SAMPLE_CONFIG = ROOT / "configs/sample/umt_sample.py"
SAMPLE_CHECKPOINT = ROOT / "work_dirs/sample/best.pth"
# as the tables of README.md and checkpoints/clip_it_tvsum.md have them
MEASURED_ZERO_SHOT = ("Measured on the sample set: the asked moment came first for 40.48 % of the queries (R1@0.5), "
                      "by chance 3.21 %.")
MEASURED_SAMPLE = ("Measured on the sample set's test videos: the asked moment came first for 88.10 % of the queries "
                   "(R1@0.5), by chance 3.21 %.")
NOT_MEASURED_HERE = ("Not measured here, neither on the sample set nor on TVSum; its weights do not come with the "
                     "program.")
MEASURED_HEAD = ("Measured on TVSum, videos not trained on: Kendall's tau 0.215, Spearman's rho 0.281; "
                 "one person against the others 0.179 and 0.207.")
NOT_MEASURED = "No measurement lies beside its weights."


@dataclass(frozen=True)
class Model:
    """A way to score videos.

    Attributes:
        key: of the choice.
        name: shown in the list.
        what: what it is, in a sentence.
        measured: what it was measured at, in a sentence.
        recipe: of its encoders; models of one recipe share encoded videos.
        encoders: makes the encoders; goes to another process, so it can be pickled.
        summarizer: makes the summarizer.
        wordless: whether it takes no sentences.
        problem: why it cannot be had, and what to do; "" if it can.
    """

    key: str
    name: str
    what: str
    measured: str
    recipe: str
    encoders: Callable[[], Encoders]
    summarizer: Callable[[], Summarizer]
    wordless: bool = False
    problem: str = ""


class Catalogue:
    """Models by key; each is loaded when it is first asked, once.

    Args:
        models: the first is the default and must be there.
    """

    def __init__(self, models: Sequence[Model]):
        self.models = {model.key: model for model in models}
        if len(self.models) != len(models):
            raise InputError("two models have the same name; give their configs other file names")
        self._loaded: dict[str, Summarizer] = {}
        self._lock = threading.Lock()

    @property
    def default(self) -> Model:
        return next(iter(self.models.values()))

    def find(self, key: object) -> Model:
        """The model of a key.

        Raises:
            InputError: there is none, or it cannot be had here.
        """
        model = self.models.get(key) if isinstance(key, str) else None
        if model is None:
            raise InputError(f"There is no model {str(key)[:40]!r}; {suggest(str(key)[:40], self.models)}")
        if model.problem:
            raise InputError(f"{model.name} cannot be used here: {model.problem}")
        return model

    def load(self, model: Model) -> Summarizer:
        """The model, ready to be asked."""
        with self._lock:
            if model.key not in self._loaded:
                self._loaded[model.key] = model.summarizer()
            return self._loaded[model.key]


def standard_models(named: Sequence[tuple[str, str]] = ()) -> list[Model]:
    """All that this program brings, and what is named.

    Args:
        named: (config, checkpoint) of models that somebody trained.

    Raises:
        InputError: a config or checkpoint that does not exist, or has no encoders.
    """
    offline = str(DEFAULT_CONFIG)
    missing = [file.name for file in (CLIP["ViT-B/32"], CNN14) if not (cache_folder() / file.name).is_file()]
    shared = dict(recipe=recipe_of(offline), encoders=partial(encoders_of, offline))
    return [
        *(trained_model(config, checkpoint) for config, checkpoint in named),
        Model("standard", "Words, and what people find important",
              "The best start for any video, with or without words: what fits your sentences, and a little of what "
              "people find important; without sentences that alone.", f"{MEASURED_ZERO_SHOT} {MEASURED_HEAD}",
              summarizer=partial(build_summarizer, offline), **shared),
        Model("zero-shot", "Zero-shot",
              "By your words alone: what looks like the sentence, without words what stands out. EfficientNet-Lite0 "
              "sees, MiniLM reads, nothing was trained for moments.",
              MEASURED_ZERO_SHOT, summarizer=partial(build_summarizer, offline, importance="off"), **shared),
        Model("importance", "CLIP-It, what people find important",
              "For a summary without words: what people would keep. Trained on what 20 people thought of each second "
              "of 40 web videos; looks only, takes no words.",
              MEASURED_HEAD, summarizer=partial(build_summarizer, offline, importance="only"), wordless=True, **shared),
        trained_model(str(SAMPLE_CONFIG), str(SAMPLE_CHECKPOINT), "sample", "UMT, trained on the sample set",
                      "For the sample videos: finds moments by sight and sound; knows the things of those made-up "
                      "videos and little else.",
                      "" if SAMPLE_CHECKPOINT.is_file() else "./run.sh trains it, in minutes."),
        Model("clip", "CLIP, zero-shot",
              "For words about anything: OpenAI's CLIP ViT-B/32 sees and reads.", NOT_MEASURED_HERE,
              recipe_of(str(CLIP_CONFIG)), partial(encoders_of, str(CLIP_CONFIG)),
              partial(build_summarizer, str(CLIP_CONFIG), None, None),
              problem=f"its weights are not on this machine ({', '.join(missing)}); README.md says where to put "
                      "them." if missing else ""),
    ]


def trained_model(config: str, checkpoint: str, key: str | None = None, name: str | None = None,
                  what: str | None = None, problem: str = "") -> Model:
    """A model that was trained, from its config and weights; its metrics.json lies beside them.

    Raises:
        InputError: no such files, or a config without encoders.
    """
    if not problem and not Path(checkpoint).is_file():
        raise InputError(f"{checkpoint}: no such checkpoint; name what a training wrote, e.g. work_dirs/NAME/best.pth")
    stem, otherwise = Path(config).stem, NOT_MEASURED if what is None else MEASURED_SAMPLE
    return Model(key or stem, name or f"{stem} (trained)", what or f"Trained with the config {stem}.",
                 _measured(Path(checkpoint).with_name("metrics.json"), otherwise), recipe_of(config),
                 partial(encoders_of, config), partial(build_summarizer, config, checkpoint), problem=problem)


def _measured(metrics: Path, otherwise: str) -> str:
    """The main numbers of a metrics.json, with chance beside them; `otherwise` where there are none."""
    try:
        values = json.loads(metrics.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return otherwise
    key = next((k for k in ("MR-full-R1@0.5", "MR-full-mAP", "HL-min-VeryGood-mAP", "mAP", "AP", "kendall")
                if isinstance(values.get(k), (int, float))), None)
    if key is None:
        return otherwise
    chance = f", by chance {values[f'{key}-random']:g}" if f"{key}-random" in values else ""
    return f"On its {values.get('split', 'test')} split: {key} {values[key]:g}{chance}."


def recipe_of(config: str) -> str:
    """What a config says of its encoders, so that equal ones are known as equal.

    Raises:
        InputError: a config that cannot be read, or has none.
    """
    cfg = load_config(config)
    if "encoders" not in cfg:
        raise InputError(f"{config}: has no 'encoders', so nothing makes features from a video; give a config that has")
    return json.dumps(cfg.encoders, sort_keys=True, default=str)


@cache
def encoders_of(config: str) -> Encoders:
    """The encoders of a config, made once a process."""
    return build_encoders(load_config(config).encoders)
