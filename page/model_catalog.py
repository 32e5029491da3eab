"""The catalog of models on the page: description, metrics, and the reason if a model is unavailable."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from common.build import suggest
from common.config import load_config
from common.errors import InputError
from common.paths import CHECKPOINTS, CONFIGS, ROOT
from models.encoders import Encoders, build_encoders
from models.encoders.weights import CLIP, CNN14, cache_folder
from pipelines.scoring.builder import DEFAULT_CONFIG
from pipelines.summarizer import Summarizer, build_summarizer

CLIP_CONFIG = CONFIGS / "zeroshot/clip.py"
SAMPLE_CONFIG = CONFIGS / "sample/umt_sample.py"
SAMPLE_CHECKPOINT = ROOT / "work_dirs/sample/best.pth"
SAMPLE_METRICS = SAMPLE_CHECKPOINT.with_name("metrics.json")
PUBLISHED_SAMPLE_METRICS = CHECKPOINTS / "sample_set.json"   # Used until ./run.sh has written SAMPLE_METRICS.
IMPORTANCE_METRICS = CHECKPOINTS / "clip_it_tvsum.json"
NO_METRICS = "There is no metrics.json next to its weights."
CLIP_NOT_EVALUATED = "Not evaluated on the sample set or TVSum, since its weights are not part of this program."
# The most informative metric first: moments with queries, highlights with queries, importance.
MAIN_METRICS = ("MR-full-R1@0.5", "MR-full-mAP", "HL-min-VeryGood-mAP", "mAP", "AP", "kendall")
_loaded: dict[str, Summarizer] = {}   # By key; a worker process serves one catalog only.


@dataclass(frozen=True)
class CatalogEntry:
    """A model that users can choose.

    Attributes:
        key: identifier in the API.
        name: name in the list.
        description: one sentence on what the model is good for.
        metrics: one or two sentences with its evaluation results.
        encoder_key: identifies its encoders; models with equal keys share encoded videos.
        make_encoders: returns the encoders; it is sent to another process, so it can be pickled.
        make_summarizer: returns the summarizer; it can be pickled, too.
        accepts_text: False if the model cannot be used with queries.
        problem: the reason why the model is unavailable and what to do; "" if it is available.
    """

    key: str
    name: str
    description: str
    metrics: str
    encoder_key: str
    make_encoders: Callable[[], Encoders]
    make_summarizer: Callable[[], Summarizer]
    accepts_text: bool = True
    problem: str = ""


class ModelCatalog:
    """The models by key.

    Args:
        entries: the first one is the default and must be available.

    Raises:
        InputError: two models have the same key.
    """

    def __init__(self, entries: Sequence[CatalogEntry]):
        self.entries = {entry.key: entry for entry in entries}
        if len(self.entries) != len(entries):
            raise InputError(None, "two models have the same name", "rename one of their configs")

    @property
    def default(self) -> CatalogEntry:
        return next(iter(self.entries.values()))

    def find(self, key: object) -> CatalogEntry:
        """Return the entry with a key.

        Raises:
            InputError: there is none, or the model is unavailable.
        """
        entry = self.entries.get(key) if isinstance(key, str) else None
        if entry is None:
            raise InputError(None, f"there is no model {str(key)[:40]!r}", suggest(str(key)[:40], self.entries))
        if entry.problem:
            raise InputError(None, f"the model “{entry.name}” is not available here, since {entry.problem}")
        return entry


def load_summarizer(entry: CatalogEntry) -> Summarizer:
    """Return the summarizer of a model; each worker process loads it once."""
    if entry.key not in _loaded:
        _loaded[entry.key] = entry.make_summarizer()
    return _loaded[entry.key]


def standard_models(trained: Sequence[tuple[str, str]] = ()) -> list[CatalogEntry]:
    """Return the user's own models, then those of this program.

    Args:
        trained: (config, checkpoint) of the user's own models.

    Raises:
        InputError: a config or checkpoint does not exist, or a config has no encoders.
    """
    offline = str(DEFAULT_CONFIG)
    make_entry = partial(CatalogEntry, encoder_key=encoder_key(offline), make_encoders=partial(encoders_of, offline))
    return [
        *(trained_model(config, checkpoint) for config, checkpoint in trained),
        make_entry(
            "standard", "Standard: queries and importance",
            "Works for any video: it finds what matches your queries, or without queries what viewers would keep.",
            f"{zero_shot_metrics()} {importance_metrics()}",
            make_summarizer=partial(build_summarizer, offline)),
        make_entry(
            "zero-shot", "Zero-shot: queries only",
            "Finds what matches your queries, or without queries the clips that differ most from the rest.",
            zero_shot_metrics(), make_summarizer=partial(build_summarizer, offline, importance="off")),
        make_entry(
            "importance", "CLIP-It: importance only",
            "Predicts which parts viewers would keep, and accepts no queries.",
            importance_metrics(), make_summarizer=partial(build_summarizer, offline, importance="only"),
            accepts_text=False),
        sample_model(), clip_model()]


def sample_model() -> CatalogEntry:
    """Return the model that ./run.sh trains."""
    metrics = describe_metrics(SAMPLE_METRICS) or describe_metrics(PUBLISHED_SAMPLE_METRICS)
    return CatalogEntry(
        "sample", "UMT, trained on the sample set",
        "For videos of the sample set only: it was trained on their scenes and audio events.",
        metrics, encoder_key(str(SAMPLE_CONFIG)), partial(encoders_of, str(SAMPLE_CONFIG)),
        partial(build_summarizer, str(SAMPLE_CONFIG), str(SAMPLE_CHECKPOINT)),
        problem="" if SAMPLE_CHECKPOINT.is_file() else "it is not trained yet; ./run.sh trains it in a few minutes")


def clip_model() -> CatalogEntry:
    """Return OpenAI's CLIP, which needs downloaded weights."""
    missing = [file.name for file in (CLIP["ViT-B/32"], CNN14) if not (cache_folder() / file.name).is_file()]
    return CatalogEntry(
        "clip", "CLIP: queries only",
        "Finds what matches your queries with OpenAI's CLIP, which knows more subjects than the other models.",
        CLIP_NOT_EVALUATED, encoder_key(str(CLIP_CONFIG)), partial(encoders_of, str(CLIP_CONFIG)),
        partial(build_summarizer, str(CLIP_CONFIG), None, None),
        problem=f"its weights are not on this machine ({', '.join(missing)}); docs/python_api.md says where to put them"
        if missing else "")


def trained_model(config: str, checkpoint: str) -> CatalogEntry:
    """Return a model that the user trained; its metrics are read from metrics.json next to the checkpoint.

    Raises:
        InputError: the checkpoint does not exist, or the config has no encoders.
    """
    if not Path(checkpoint).is_file():
        raise InputError(checkpoint, "no such checkpoint", "specify one that a training wrote, e.g. "
                                                           "work_dirs/NAME/best.pth")
    stem = Path(config).stem
    metrics = describe_metrics(Path(checkpoint).with_name("metrics.json"))
    return CatalogEntry(stem, f"{stem} (trained)", f"Your own model, trained with the config {stem}.",
                        metrics or NO_METRICS, encoder_key(config), partial(encoders_of, config),
                        partial(build_summarizer, config, checkpoint))


def describe_metrics(path: Path) -> str:
    """Return the main metric of a metrics.json and its value by chance; "" if there is none."""
    values = read_metrics(path)
    key = next((k for k in MAIN_METRICS if isinstance(values.get(k), (int, float))), None)
    if key is None:
        return ""
    chance = f" (by chance {values[f'{key}-random']:g})" if f"{key}-random" in values else ""
    return f"{key} on its {values.get('split', 'test')} split: {values[key]:g}{chance}."


def zero_shot_metrics() -> str:
    """Return how well the encoders find moments without training."""
    for path in (SAMPLE_METRICS, PUBLISHED_SAMPLE_METRICS):
        values = read_metrics(path)
        if "MR-full-R1@0.5-zeroshot" in values:
            return (f"R1@0.5 on the sample set: {values['MR-full-R1@0.5-zeroshot']:g} % "
                    f"(by chance {values['MR-full-R1@0.5-random']:g} %).")
    return "Not evaluated on the sample set yet."


def importance_metrics() -> str:
    """Return how well the importance model agrees with people."""
    values = read_metrics(IMPORTANCE_METRICS)
    model, person = values["without_queries"], values["one_person"]
    return (f"On {values['dataset']} videos that were not trained on: Kendall's tau {model['kendall']:g}, Spearman's "
            f"rho {model['spearman']:g}, F1 {model['f1']:g} (one person against the others: "
            f"{person['kendall']:g}, {person['spearman']:g}, {person['f1']:g}).")


def read_metrics(path: Path) -> dict:
    """Return the content of a metrics file; empty if the file does not exist or is not valid."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def encoder_key(config: str) -> str:
    """Return a text that is equal for configs with equal encoders.

    Raises:
        InputError: the config cannot be read, or has no encoders.
    """
    cfg = load_config(config)
    if "encoders" not in cfg:
        raise InputError(config, "has no 'encoders', so it cannot compute features of a video",
                         "choose a config that has")
    return json.dumps(cfg.encoders, sort_keys=True, default=str)


@cache
def encoders_of(config: str) -> Encoders:
    """Return the encoders of a config; each process builds them once."""
    return build_encoders(load_config(config).encoders)
