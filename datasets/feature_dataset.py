"""What the datasets share: features from disk, trimming, padding, and a check of everything at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable

import torch
import torch.nn.functional as F
from nncore.parallel import DataContainer
from torch import Tensor
from torch.utils.data import Dataset

from common.errors import InputError
from datasets.features.source import FeatureSource

MAX_ROWS_OFF = 2   # that feature files may be longer or shorter than the label says


class FeatureDataset(Dataset):
    """Labelled videos, or queries over them, with features read from disk.

    A feature path is a folder, `FOLDER.pack` of `tools/pack_features.py`, or a pattern in which `{vid}`
    (`{qid}` for queries) stands for the name, as in `video_features/{vid}_rgb.npy`. Subclasses say what
    a label asks for: `_saliency`, `_boundary`, `_query` and `expected_clips`.

    Args:
        labels: one dict per item, with `vid`.
        places: where each label stands, for messages: "line 7".
        label_path: their file.
        video_path: folders of `{vid}.npz` with `features` (T, width), side by side in this order.
        audio_path: folder of `{vid}.npy` (T, width), or None.
        query_path: folder of the text features, or None.
        query_key: name of the tokens (L, width) inside a text feature file.
        clip_len_s: seconds in a clip.
        video_dims: the width that each folder has, in their order, so that swapped folders are found; or
            the width that they have together; None takes any, as long as all files of a folder agree.
        normalize: whether rows of video and sound are scaled to unit norm.
        cache: keep the features in memory once read; for sets that fit.

    Raises:
        InputError: from items, a feature file that is missing, unreadable, of another width, or more than
            two clips longer or shorter than the label's video, or four than the other stream's.
    """

    def __init__(self, labels: list[dict], locations: list[str], label_path: str, video_path: str | list[str],
                 audio_path: str | None = None, query_path: str | None = None, *,
                 query_key: str = "last_hidden_state", clip_len_s: float = 2,
                 video_dims: int | list[int] | None = None, normalize: bool = False, cache: bool = False):
        self.labels, self.locations, self.label_path = labels, locations, label_path
        self.video_path = [video_path] if isinstance(video_path, (str, os.PathLike)) else list(video_path)
        self.query_path, self.audio_path = query_path, audio_path
        self._video_sources = [FeatureSource(path, "{vid}.npz", "features") for path in self.video_path]
        self._audio_source = FeatureSource(audio_path, "{vid}.npy") if audio_path is not None else None
        self._query_source = FeatureSource(query_path, "qid{qid}.npz", query_key) if query_path is not None else None
        self.clip_len_s, self.video_dims, self.normalize = clip_len_s, video_dims, normalize
        self._cache: dict | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        """One item as nncore containers, which collate pads.

        Returns:
            `video` (T, V), `audio` (T, A) if any, `query` (L, D) padded with inf if any, `saliency` (T,) in
            [0, 1] padded with -1, `boundary` (W, 2) in seconds padded with -1 if any, `meta` the label.
        """
        label = self.labels[index]
        video, audio = self._streams(label)
        saliency = self._saliency(label)
        T = min(len(s) for s in (video, audio, saliency) if s is not None)   # files may be a row longer or shorter
        saliency = torch.ones(T) if saliency is None else saliency
        boundary, order = self._order(self._boundary(label), T)
        item = dict(
            video=DataContainer(video[order]),
            saliency=DataContainer(saliency[order], pad_value=-1),
            meta=DataContainer(label, cpu_only=True))
        if audio is not None:
            item["audio"] = DataContainer(audio[order])
        query = self._query(label)
        if query is not None:
            item["query"] = DataContainer(query, pad_value=float("inf"))
        if boundary is not None:
            item["boundary"] = DataContainer(boundary, pad_value=-1)
        return item

    def _saliency(self, label: dict) -> Tensor | None:
        """(clips,) in [0, 1]; None where nobody rated clips: then all that the features hold exist."""
        raise NotImplementedError

    def _boundary(self, label: dict) -> Tensor | None:
        """(W, 2) seconds, or None where the task has no windows."""
        return None

    def _query(self, label: dict) -> Tensor | None:
        """(L, D), or None where there is no text."""
        if self._query_source is None:
            return None
        return self._cached(("query", label["qid"]),
                            lambda: torch.from_numpy(self._query_source.read(qid=label["qid"])).float())

    def _order(self, boundary: Tensor | None, T: int) -> tuple[Tensor | None, slice | Tensor]:
        """Windows and clips as they are read, the first T."""
        return boundary, slice(T)

    def expected_clips(self, label: dict) -> int | None:
        """Clips that the labels know of; None where they do not say."""
        raise NotImplementedError

    def baselines(self) -> dict[str, dict[str, float]]:
        """The metrics of `random` predictions and of the labels themselves, `oracle`; empty where nobody wrote them."""
        return {}

    def missing_annotations(self) -> list[str]:
        """What the labels do not answer, `relevant_windows` or `saliency_scores`, as those of a test split may not."""
        return []

    def num_clips(self, label: dict) -> int:
        """Clips of an item: the shortest of its streams and labels."""
        lengths = [len(s) for s in self._streams(label) if s is not None]
        return min([n for n in (self.expected_clips(label),) if n is not None] + lengths)

    def _streams(self, label: dict) -> tuple[Tensor, Tensor | None]:
        """Video (T, V) and audio (T', A) of a label's video, as long as their files are."""
        vid = label["vid"]
        video, audio = self._cached(("video", vid), lambda: (self._video(vid), self._audio(vid)))
        lengths, expected = [len(s) for s in (video, audio) if s is not None], self.expected_clips(label)
        odd = [n for n in lengths if expected is not None and abs(n - expected) > MAX_ROWS_OFF]
        if odd:
            raise InputError(f"{vid}: features for {odd[0]} clips, but the label's {label.get('duration', '?')} s have "
                             f"{expected}; extract them again from this video")
        if max(lengths) - min(lengths) > 2 * MAX_ROWS_OFF:
            raise InputError(f"{vid}: {len(video)} rows in {', '.join(self.video_path)}, but {len(audio)} in "
                             f"{self.audio_path}; extract both with one length of clips")
        return video, audio

    def _video(self, vid: int | str) -> Tensor:
        parts = [source.read(vid=vid) for source in self._video_sources]
        widths, expected = [part.shape[1] for part in parts], self.video_dims
        fits = expected in (None, sum(widths)) or (not isinstance(expected, int) and list(expected) == widths)
        if not fits:
            found = " + ".join(f"{folder} ({width})" for folder, width in zip(self.video_path, widths, strict=True))
            raise InputError(f"{vid}: {found} are {sum(widths)} wide together, but video_dims in the config says "
                             f"{expected}; name the folders that the model was made for, in its order")
        T, longest = min(map(len, parts)), max(map(len, parts))
        if longest - T > MAX_ROWS_OFF:
            found = ", ".join(f"{folder}: {len(part)}" for folder, part in zip(self.video_path, parts, strict=True))
            raise InputError(f"{vid}: has other numbers of clips in each folder ({found}); extract them with one "
                             "length of clips")
        joined = [torch.from_numpy(part[:T]) for part in parts]
        return self._scaled(torch.cat(joined, dim=1) if len(joined) > 1 else joined[0])

    def _audio(self, vid: int | str) -> Tensor | None:
        return None if self._audio_source is None else self._scaled(torch.from_numpy(self._audio_source.read(vid=vid)))

    def _scaled(self, rows: Tensor) -> Tensor:
        rows = rows.float()   # only now: float16 is half the work to join
        return F.normalize(rows) if self.normalize else rows

    def _cached(self, key: Hashable, read):
        if self._cache is None:
            return read()
        if key not in self._cache:
            self._cache[key] = read()
        return self._cache[key]

    def check(self, progress: Callable[[Iterable], Iterable] = iter) -> list[str]:
        """Reads every file once and lists the faults, each with its file and the first label that needs it.

        Args:
            progress: wraps the loop over labels, e.g. tqdm.
        """
        sources = [*self._video_sources, self._audio_source, self._query_source]
        faults, seen = [fault for source in sources if source is not None for fault in source.faults()], set()
        for place, label in progress(list(zip(self.locations, self.labels, strict=True))):
            needs = [(("video", label["vid"], self.expected_clips(label)), self._streams)]
            if self._query_source is not None:
                needs.append((("query", label["qid"]), self._query))
            for key, read in needs:
                try:
                    if key not in seen:
                        read(label)
                except InputError as err:
                    faults.append(f"{err} (for {self.label_path}, {place})")
                seen.add(key)
        return faults

