"""Draw the random scripts of a sample set from the seed of its setting."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .audio_events import AUDIO_CLASSES
from .labels import relevant_clips, windows_s
from .scenes import PLAIN, SCENES, STYLES, photo_size_px
from .script import EDGE_SHARE, AudioEvent, Query, Remark, Script, Setting, Shot, View, region_px, width_range_px

SHOTS = (6, 10)            # Number of shots of a video.
SHOT_S = (6, 24)           # Lengths in videos of USUAL_S or more; shorter videos scale them down.
EVENT_S = (7, 15)
MOMENT_S = (6, 26)         # Length of each relevant window of a query.
USUAL_S = 90
TRAIN_QUERIES = 12         # Maximum per training video; other videos have three or four.
TRIES = 2000
SMALL_TALK = (
    "I had soup for lunch.", "Did you lock the door?", "We should do this more often.", "What time is it?",
    "My brother lives near here.", "The train was late again.", "Let me change the battery.",
    "I forgot what I was going to say.", "It was on the news yesterday.", "Can you hold this for a moment?",
    "Somebody left the window open.", "We are almost there.", "That reminds me of last summer.",
    "Never mind, go on.", "She will call back later.", "I think we took a wrong turn.",
)


class Deck:
    """A deck of cards that is reshuffled when it is empty, so that all cards are drawn about equally often."""

    def __init__(self, cards: Sequence, rng: np.random.Generator):
        self.cards, self.rng = list(cards), rng
        self.left: list = []

    def deal(self, fits=lambda card: True):
        """Return the next card that fits; the others keep their order."""
        for _ in range(2):
            for card in self.left:
                if fits(card):
                    self.left.remove(card)
                    return card
            self.left += [self.cards[i] for i in self.rng.permutation(len(self.cards))]
        raise AssertionError("no card fits")


def split_names(videos: int) -> list[str]:
    """Return the split of each video: two ninths for the test, a tenth for validation, and at least one of each."""
    n_test, n_val = max(1, round(2 * videos / 9)), max(1, round(videos / 10))
    return ["train"] * (videos - n_val - n_test) + ["val"] * n_val + ["test"] * n_test


def draw_scripts(setting: Setting) -> list[Script]:
    """Return one script per video. Each split has about equally many queries for each scene, audio class and style."""
    scripts = []
    splits = split_names(setting.videos)
    for split in ("train", "val", "test"):
        rng = np.random.default_rng([setting.seed, 0, ("train", "val", "test").index(split)])
        decks = _decks(rng)
        for index in (i for i, name in enumerate(splits) if name == split):
            script = _draw_script(index, split, _draw_queries(decks, rng), setting)
            scripts.append(_add_queries(script, setting) if split == "train" else script)
    return scripts


def _decks(rng: np.random.Generator) -> dict[str, Deck]:
    scenes, audio_classes, styles = ([name for name, entry in known.items() if entry.queried]
                                     for known in (SCENES, AUDIO_CLASSES, STYLES))
    pairs = [(scene, style) for scene in scenes for style in SCENES[scene].styles if style in styles]
    cards: dict[str, list] = dict(
        scene=scenes, audio=audio_classes, scene_style=pairs, both=scenes,
        style=[style for style in styles if STYLES[style].alone],
        second=["scene"] * 5 + ["style"], fourth=["scene_style", "both", "audio"] * 2 + ["none"])
    return {name: Deck(known, rng) for name, known in cards.items()}


def _draw_queries(decks: dict[str, Deck], rng: np.random.Generator) -> tuple[Query, ...]:
    """Return three or four queries: a scene, a scene or style, an audio class, and often a combination of two."""
    queries = [Query(scene=decks["scene"].deal())]
    taken = {queries[0].scene}
    if decks["second"].deal() == "scene":
        queries.append(Query(scene=decks["scene"].deal(lambda name: name not in taken)))
        taken.add(queries[1].scene)
    else:
        queries.append(Query(style=decks["style"].deal()))
    queries.append(Query(audio=decks["audio"].deal()))
    kind = decks["fourth"].deal()
    if kind == "audio":
        queries.append(Query(audio=decks["audio"].deal(lambda name: name != queries[2].audio)))
    elif kind == "scene_style":
        scene, style = decks["scene_style"].deal(lambda pair: pair[0] not in taken and pair[1] != queries[1].style)
        queries.append(Query(scene=scene, style=style))
    elif kind == "both":
        audio = decks["audio"].deal(lambda name: name != queries[2].audio)
        queries.append(Query(scene=decks["both"].deal(lambda name: name not in taken), audio=audio))
    return tuple(queries)


def _draw_script(index: int, split: str, queries: tuple[Query, ...], setting: Setting) -> Script:
    """Draw scripts until every query has moments that are neither very short nor most of the video."""
    rng = np.random.default_rng([setting.seed, 1, index])
    clips = rng.integers(math.ceil(setting.min_duration_s / setting.clip_len_s),
                         setting.max_duration_s // setting.clip_len_s + 1)
    n_frames = int(clips) * setting.frames_per_clip
    for _ in range(TRIES):
        shots = _draw_shots(rng, queries, n_frames, setting)
        audio_events = _draw_audio_events(rng, queries, shots, n_frames, setting)
        remarks = _draw_remarks(rng, audio_events, shots, setting)
        script = Script(index, f"sample_{index:03d}", split, n_frames, shots, audio_events, remarks, queries)
        if remarks and all(a.scene != b.scene for a, b in itertools.pairwise(shots)) \
                and all(_has_balanced_moments(script, query, setting) for query in queries):
            return script
    raise AssertionError(f"no script in {TRIES} draws for {queries}")


def _add_queries(script: Script, setting: Setting) -> Script:
    """Add queries for everything in a training video, up to `TRAIN_QUERIES` queries in total."""
    styles = [(shot.scene, shot.style) for shot in script.shots
              if STYLES[shot.style].queried and SCENES[shot.scene].queried]
    audio_classes = [span.kind for span in script.audio_events if AUDIO_CLASSES[span.kind].queried]
    scenes = [scene for scene, _ in styles]
    known = {*map(Query, scenes), *(Query(audio=kind) for kind in audio_classes),
             *(Query(style=style) for _, style in styles if STYLES[style].alone),
             *(Query(scene=scene, style=style) for scene, style in styles if style != PLAIN),
             *(Query(scene=scene, audio=kind) for scene in scenes for kind in audio_classes)}
    more = sorted((query for query in known - set(script.queries)
                   if _has_balanced_moments(script, query, setting)), key=repr)
    rng = np.random.default_rng([setting.seed, 6, script.index])
    chosen = [more[i] for i in rng.permutation(len(more))[:max(0, TRAIN_QUERIES - len(script.queries))]]
    return replace(script, queries=(*script.queries, *chosen))


def _has_balanced_moments(script: Script, query: Query, setting: Setting) -> bool:
    """Return True if a query has one to three moments of suitable length that cover at most 40 % of the video."""
    scale = min(1, script.n_frames / setting.fps / USUAL_S)
    ids, _ = relevant_clips(script, query, setting)
    lengths_s = [end - start for start, end in windows_s(ids, setting.clip_len_s)]
    return bool(lengths_s) and min(lengths_s) >= max(2, MOMENT_S[0] * scale) and len(lengths_s) <= 3 \
        and max(lengths_s) <= MOMENT_S[1] and 2.5 * sum(lengths_s) <= script.n_frames / setting.fps


def _wanted_shots(rng: np.random.Generator, queries: tuple[Query, ...]) -> list[tuple[str, str]]:
    """Return (scene, style) of the shots that match the queries and of distractors.

    Distractors show the same scene in another style, or without the audio event.
    """
    wanted, queried = [], {query.scene for query in queries}
    for query in queries:
        if query.scene and query.style:
            wanted += [(query.scene, query.style), (query.scene, _any_style(rng, query.scene, (query.style,)))]
        elif query.scene:
            repeats = 2 if query.audio else rng.integers(1, 3)
            wanted += [(query.scene, _any_style(rng, query.scene)) for _ in range(repeats)]
        elif query.style:
            able = [name for name, scene in SCENES.items() if query.style in scene.styles and name not in queried]
            wanted += [(str(name), query.style) for name in rng.choice(able, rng.integers(1, 3), replace=False)]
    return wanted


def _any_style(rng: np.random.Generator, scene: str, but: tuple[str, ...] = ()) -> str:
    styles = [style for style in SCENES[scene].styles if style not in but]
    return PLAIN if rng.random() < 0.65 or not styles else str(rng.choice(styles))


def _draw_shots(rng: np.random.Generator, queries: tuple[Query, ...], n_frames: int,
                setting: Setting) -> tuple[Shot, ...]:
    wanted = _wanted_shots(rng, queries)
    duration_s = n_frames / setting.fps
    scale = min(1, duration_s / USUAL_S)
    fewest = max(SHOTS[0], math.ceil(duration_s / 15) if scale == 1 else 0, len(wanted) + 1)
    count = int(rng.integers(fewest, max(SHOTS[1], fewest) + 1))
    queried = {query.scene for query in queries}
    queried_styles = tuple(query.style for query in queries if query.style)
    while len(wanted) < count:
        alike = [name for scene, _ in wanted for name in SCENES[scene].like if name not in queried]
        others = [name for name, scene in SCENES.items() if scene.queried and name not in queried]
        scene = str(rng.choice(alike if alike and rng.random() < 0.35 else others))
        wanted.append((scene, _any_style(rng, scene, queried_styles)))
    shortest = max(setting.frames_per_clip, round(SHOT_S[0] * scale * setting.fps))
    for _ in range(TRIES):
        order = [wanted[i] for i in rng.permutation(count)]
        share = rng.dirichlet(np.full(count, 8.0))
        lengths = shortest + share * (n_frames - count * shortest)
        if all(a[0] != b[0] and (a[1] != b[1] or a[1] == PLAIN) for a, b in itertools.pairwise(order)) \
                and lengths.max() <= SHOT_S[1] * max(scale, 2 / SHOT_S[0]) * setting.fps:
            break   # Neighboring shots differ, and no shot is too long.
    cuts = np.round(np.cumsum(lengths)).astype(int)
    firsts = [0, *cuts[:-1].tolist()]
    return tuple(_draw_shot(rng, scene, style, first, last, setting)
                 for (scene, style), first, last in zip(order, firsts, cuts.tolist(), strict=True))


def _draw_shot(rng: np.random.Generator, scene: str, style: str, first: int, last: int, setting: Setting) -> Shot:
    near = (rng.uniform(0, 0.08), rng.uniform(0.92, 1))
    if style not in ("zoom_in", "zoom_out"):
        close = rng.uniform(0.5, 1)
        near = (max(0.0, close - rng.uniform(0.05, 0.4)), close)
    if style == "zoom_out" or (style != "zoom_in" and rng.random() < 0.5):
        near = near[::-1]
    begin = _draw_view(rng, scene, near[0], setting)
    end = _draw_view(rng, scene, near[1], setting, begin)
    level = rng.uniform(0.18, 0.28, 2) if style == "dark" else rng.uniform(0.8, 1.15, 2)
    if style == PLAIN and rng.random() < 0.25:
        level[rng.integers(2)] = rng.uniform(0.5, 0.65)   # The light changes during the shot.
    join = str(rng.choice(["cut", "dissolve", "fade"], p=[0.6, 0.25, 0.15])) if first else "cut"
    return Shot(
        scene, style, first, last, begin, end, near=near, light=(float(level[0]), float(level[1])),
        sway=(rng.uniform(0.002, 0.009), rng.uniform(0.15, 0.5), *rng.uniform(0, 2 * math.pi, 2)),
        grain=rng.uniform(2.5, 4) if style == "dark" else rng.uniform(0.8, 2.2),
        join=join, join_frames=round(setting.fps * rng.uniform(0.5, 1.0)), seed=int(rng.integers(2**31)))


def _draw_view(rng: np.random.Generator, scene: str, near: float, setting: Setting, start: View | None = None) -> View:
    """Return a camera view inside the region of a scene: near its focus, or else near the view `start`."""
    left, top, right, bottom = region_px(scene)
    closest, widest = width_range_px(scene, setting.aspect)
    width = widest * (closest / widest) ** near
    half = np.array([width, width / setting.aspect]) / 2 / (1 - EDGE_SHARE)
    low, high = np.array([left, top]) + half, np.array([right, bottom]) - half
    size = np.array([right - left, bottom - top])
    if SCENES[scene].focus is not None:
        middle = np.array(SCENES[scene].focus) * photo_size_px(SCENES[scene].photo) + rng.normal(0, 0.06, 2) * size
    elif start is not None:
        middle = np.array([start.x, start.y]) + rng.uniform(-0.3, 0.3, 2) * size
    else:
        middle = rng.uniform(low, np.maximum(low, high))
    x, y = np.clip(middle, low, np.maximum(low, high))
    return View(float(x), float(y), float(width))


def _draw_audio_events(rng: np.random.Generator, queries: tuple[Query, ...], shots: tuple[Shot, ...], n_frames: int,
                       setting: Setting) -> tuple[AudioEvent, ...]:
    """Return about five to seven audio events.

    They are independent of the shots, except that a query for a scene and an audio class gets an event in the scene.
    """
    duration_s = n_frames / setting.fps
    scale = min(1, duration_s / USUAL_S)
    spans: list[AudioEvent] = []

    def free(start_s: float, end_s: float) -> bool:
        return 0 <= start_s and end_s <= duration_s \
            and all(end_s + scale <= s.start_s or s.end_s + scale <= start_s for s in spans)

    def place(kind: str, around_s: float | None = None) -> None:
        for _ in range(40):
            length_s = rng.uniform(*EVENT_S) * scale
            start_s = rng.uniform(0, duration_s - length_s) if around_s is None \
                else around_s + rng.uniform(-0.5, 0.1) * length_s
            start_s, end_s = round(start_s, 1), round(start_s + length_s, 1)
            if free(start_s, end_s):
                loud = rng.uniform(-3, 0)
                soft = loud - rng.uniform(2, 12)
                levels = (loud, soft) if rng.random() < 0.5 else (soft, loud)
                spans.append(AudioEvent(kind, start_s, end_s, levels, int(rng.integers(2**31))))
                return

    for query in queries:
        if query.scene and query.audio:
            shot = shots[rng.choice([i for i, s in enumerate(shots) if s.scene == query.scene])]
            place(query.audio, shot.first / setting.fps)
    queried = [query.audio for query in queries if query.audio]
    wanted = queried + [kind for kind in queried if rng.random() < 0.3]
    wanted += ["voice"] * (2 - wanted.count("voice"))
    others = [kind for kind in AUDIO_CLASSES if kind not in queried and kind != "voice"]
    odds = np.array([3 if AUDIO_CLASSES[kind].queried else 1 for kind in others])
    count = max(0, int(rng.integers(5, 8)) - len(wanted))
    wanted += rng.choice(others, count, replace=False, p=odds / odds.sum()).tolist()
    for kind in wanted:
        place(kind)
    return tuple(sorted(spans, key=lambda span: span.start_s))


def _draw_remarks(rng: np.random.Generator, audio_events: tuple[AudioEvent, ...], shots: tuple[Shot, ...],
                  setting: Setting) -> tuple[Remark, ...]:
    """Return sentences for the times of the voice, about half of them about the visible scene."""
    remarks: list[Remark] = []
    for span in audio_events:
        start_s = span.start_s
        while span.kind == "voice" and start_s + 1 < span.end_s:
            end_s = min(round(start_s + rng.uniform(2, 4), 1), span.end_s)
            shot = next(s for s in shots if s.first <= start_s * setting.fps < s.last)
            used = {remark.text for remark in remarks}
            about = [line for line in SCENES[shot.scene].remarks if line not in used]
            other = [line for line in SMALL_TALK if line not in used]
            text = str(rng.choice(about if about and rng.random() < 0.5 else other))
            remarks.append(Remark(start_s, end_s, text))
            start_s = round(end_s + 0.2, 1)
    return tuple(remarks)
