"""Base class of datasets whose features are files: reading, trimming, padding, and a check of all files."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Hashable, Iterable
from functools import partial

import torch
import torch.nn.functional as F
from nncore.parallel import DataContainer
from torch import Tensor
from torch.utils.data import Dataset

from common.errors import InputError
from datasets.errors import merge_errors
from datasets.features.source import FeatureSource

MAX_LENGTH_DIFFERENCE = 2   # Rows by which a feature file may differ from its label or from other streams.


class FeatureDataset(Dataset):
    """Labeled videos, or queries over them, with features that are read from disk.

    A feature path is a folder, a pack `FOLDER.pack` of `tools/pack_features.py`, or a pattern in which `{vid}`
    (`{qid}` for queries) is replaced by the name, such as `video_features/{vid}_rgb.npy`. Subclasses convert a label:
    `_saliency`, `_boundary`, `_query` and `expected_clips`.

    Args:
        labels: one dict per item, with `vid`.
        locations: location of each label in its file, for error messages, such as "line 7".
        label_path: file of the labels.
        video_path: folders of `{vid}.npz` with `features` (T, width), concatenated in this order.
        audio_path: folder of `{vid}.npy` (T, width), or None.
        query_path: folder of the text features, or None.
        query_key: key of the tokens (L, width) in a text feature file.
        clip_len_s: seconds per clip.
        video_dims: width of each folder's features, in the order of `video_path`, which detects swapped folders; or
            their total width. None accepts any width, provided that all files of a folder agree.
        normalize: scale the rows of video and audio features to unit norm.
        cache: keep features in memory after the first read; for datasets that fit.

    Raises:
        InputError: on access to an item: a feature file is missing, unreadable, of another width, or differs by more
            than two clips from the label, or by more than four from another stream.
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
        """Return one item in nncore's containers, which define its padding.

        Returns:
            `video` (T, V), `audio` (T, A) if any, `query` (L, D) padded with inf if any, `saliency` (T,) in
            [0, 1] padded with -1, `boundary` (W, 2) in seconds padded with -1 if any, `meta` the label.
        """
        label = self.labels[index]
        video, audio = self._streams(label)
        saliency = self._saliency(label)
        T = min(len(s) for s in (video, audio, saliency) if s is not None)   # Streams may differ by a few rows.
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
        """Return (clips,) in [0, 1]; None if clips are not rated, so that all clips of the features exist."""
        raise NotImplementedError

    def _boundary(self, label: dict) -> Tensor | None:
        """Return windows (W, 2) in seconds, or None if the task has no windows."""
        return None

    def _query(self, label: dict) -> Tensor | None:
        """Return tokens (L, D), or None if there is no text."""
        source = self._query_source
        if source is None:
            return None
        return self._cached(("query", label["qid"]),
                            lambda: torch.from_numpy(source.read(qid=label["qid"])).float())

    def _order(self, boundary: Tensor | None, T: int) -> tuple[Tensor | None, slice | Tensor]:
        """Return the windows and the order of the clips; here the first T clips in their own order."""
        return boundary, slice(T)

    def expected_clips(self, label: dict) -> int | None:
        """Return the number of clips that the label implies, or None if it implies none."""
        raise NotImplementedError

    def baselines(self) -> dict[str, dict[str, float]]:
        """Return the metrics of `random` predictions and of the labels as predictions, `oracle`; may be empty."""
        return {}

    def missing_annotations(self) -> list[str]:
        """Return which of `relevant_windows` and `saliency_scores` the labels lack, as those of a test split may."""
        return []

    def num_clips(self, label: dict) -> int:
        """Return the number of clips of an item: the shortest of its streams and labels."""
        lengths = [len(s) for s in self._streams(label) if s is not None]
        return min([n for n in (self.expected_clips(label),) if n is not None] + lengths)

    def _streams(self, label: dict) -> tuple[Tensor, Tensor | None]:
        """Return the video (T, V) and audio (T', A) features of a label's video, untrimmed."""
        vid = label["vid"]
        video, audio = self._cached(("video", vid), lambda: (self._video(vid), self._audio(vid)))
        lengths, expected = [len(s) for s in (video, audio) if s is not None], self.expected_clips(label)
        wrong = [n for n in lengths if expected is not None and abs(n - expected) > MAX_LENGTH_DIFFERENCE]
        if wrong:
            raise InputError(
                f"{vid}", f"features have {wrong[0]} clips, but the label's {label.get('duration', '?')} s are "
                          f"{expected} clips", "extract the features of this video again")
        if max(lengths) - min(lengths) > 2 * MAX_LENGTH_DIFFERENCE:
            raise InputError(f"{vid}", f"{len(video)} rows in {', '.join(self.video_path)}, but {len(audio)} in "
                                       f"{self.audio_path}", "extract both with the same clip length")
        return video, audio

    def _video(self, vid: int | str) -> Tensor:
        parts = [source.read(vid=vid) for source in self._video_sources]
        widths, expected = [part.shape[1] for part in parts], self.video_dims
        fits = expected in (None, sum(widths)) or (not isinstance(expected, int) and list(expected) == widths)
        if not fits:
            found = " + ".join(f"{folder} ({width})" for folder, width in zip(self.video_path, widths, strict=True))
            raise InputError(f"{vid}", f"{found} have total width {sum(widths)}, but video_dims in the config is "
                                       f"{expected}", "specify the folders that the model expects, in its order")
        T, longest = min(map(len, parts)), max(map(len, parts))
        if longest - T > MAX_LENGTH_DIFFERENCE:
            found = ", ".join(f"{folder}: {len(part)}" for folder, part in zip(self.video_path, parts, strict=True))
            raise InputError(f"{vid}", f"the number of clips differs between folders ({found})",
                             "extract all of them with the same clip length")
        tensors = [torch.from_numpy(part[:T]) for part in parts]
        return self._scaled(torch.cat(tensors, dim=1) if len(tensors) > 1 else tensors[0])

    def _audio(self, vid: int | str) -> Tensor | None:
        return None if self._audio_source is None else self._scaled(torch.from_numpy(self._audio_source.read(vid=vid)))

    def _scaled(self, rows: Tensor) -> Tensor:
        rows = rows.float()   # Convert after the concatenation, because concatenating float16 copies half the bytes.
        return F.normalize(rows) if self.normalize else rows

    def _cached(self, key: Hashable, read: Callable):
        if self._cache is None:
            return read()
        if key not in self._cache:
            self._cache[key] = read()
        return self._cache[key]

    def check(self, progress: Callable[[Iterable], Iterable] = iter) -> list[InputError]:
        """Read each file once and return all errors, each with its file and the first label that needs it.

        A missing folder, and the same problem in several files of a folder, are one error.

        Args:
            progress: wrapper of the loop over labels, e.g. tqdm.
        """
        sources = [source for source in (*self._video_sources, self._audio_source, self._query_source) if source]
        errors = [error for source in sources for error in source.differences()]
        missing = {source: error for source in sources if (error := source.missing_folder()) is not None}
        while True:
            n_votes = sum(source.has_voted for source in sources)
            found = self._read_all(missing, progress)
            if sum(source.has_voted for source in sources) == n_votes:
                return [*errors, *missing.values(), *merge_errors(found, self.label_path)]
            # The files of a folder have different widths, and their most common one is known only now.
            if self._cache is not None:
                self._cache.clear()

    def _read_all(self, missing: Collection[FeatureSource],
                  progress: Callable[[Iterable], Iterable]) -> list[tuple[InputError, str]]:
        """Read each file once, except those of missing folders.

        Returns:
            The errors, each with the location of the first label that needs the file.
        """
        errors, seen = [], set()
        for location, label in progress(list(zip(self.locations, self.labels, strict=True))):
            for key, read in self._needs(label, missing):
                try:
                    if key not in seen:
                        read()
                except InputError as err:
                    errors.append((err, location))
                seen.add(key)
        return errors

    def _needs(self, label: dict, missing: Collection[FeatureSource]) -> list[tuple[Hashable, Callable]]:
        """Return functions that read the features of a label, by key."""
        streams = [source for source in (*self._video_sources, self._audio_source) if source is not None]
        existing = [source for source in streams if source not in missing]
        vid = label["vid"]
        needs: list[tuple[Hashable, Callable]] = [
            (("video", vid, self.expected_clips(label)), lambda: self._streams(label))]
        if len(existing) < len(streams):
            needs = [((source, vid), partial(source.read, vid=vid)) for source in existing]
        if self._query_source is not None and self._query_source not in missing:
            needs.append((("query", label["qid"]), lambda: self._query(label)))
        return needs
