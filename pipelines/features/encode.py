"""Encoding of videos: decode frames and audio, and run the encoders on every clip."""

from __future__ import annotations

import io
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from common.errors import InputError
from common.memory import trim_heap
from common.parallel import batched, inference_pool, ordered_map
from models.encoders import Encoders
from models.encoders.base import AudioEncoder, VisualEncoder
from pipelines.media.audio_reader import audio_clips
from pipelines.media.hwaccel import find_device
from pipelines.media.probe import VideoInfo, probe
from pipelines.media.video_reader import DecodeReport, DecodeSettings, check_sampling, frames_at

from .encoded_video import EncodedVideo, clip_edges_s

AUDIO_BATCH_CLIPS = 4   # Larger batches of audio clips need more memory and are no faster.
THUMBNAIL_PX = 192      # Longer side of a thumbnail.
TRIM_EVERY_CLIPS = 16   # Clips between two calls of `trim_heap`.


def encode_video(path: str | os.PathLike, encoders: Encoders, progress: bool | Callable[[float], None] = True, *,
                 sampling: str = "exact", info: VideoInfo | None = None) -> EncodedVideo:
    """Decode a video once, as a stream, and encode its clips; features for training and for summaries are made here.

    Frames are decoded in parallel with the encoding of earlier frames and of the audio. Apart from the features and
    small thumbnails, memory does not grow with the video. A hardware decoder is used if there is one.

    Args:
        path: any file that PyAV reads.
        encoders: visual encoder and, if not None, audio encoder.
        progress: True to show a progress bar, and notes about hardware decoding and sparse key frames, on stderr. A
            function is called with the share of the frames that is done; an exception that it raises stops the
            encoding.
        sampling: `exact` for the frames at the clips' centers, or `keyframes` for the key frames nearest to them,
            which is several times faster.
        info: result of `probe` for this file; None probes it.

    Raises:
        InputError: the file is not a readable video, the sampling is unknown, or the frames end before the duration.
    """
    started_s = time.perf_counter()
    check_sampling(sampling)
    info = probe(path) if info is None else info
    edges_s = clip_edges_s(info.duration_s, encoders.visual.clip_len_s)
    settings, report = DecodeSettings(sampling, find_device(info.codec)), DecodeReport()
    audio_encoder = encoders.audio if info.has_audio else None
    with _audio_in_background(audio_encoder, info, len(edges_s) - 1) as audio_result:
        title = "encoding video" if audio_encoder is None else "encoding video and audio"
        features, thumbnails = _encode_frames(info, encoders.visual, edges_s, settings, report, title, progress)
        audio = audio_result()
    trim_heap()
    if progress is True:
        _print_notes(report, encoders.visual.clip_len_s)
    names = dict(visual=type(encoders.visual).__name__)
    if encoders.audio is not None:
        names["audio"] = type(encoders.audio).__name__
    return EncodedVideo(info, encoders.visual.clip_len_s, names, features, audio, thumbnails,
                        time.perf_counter() - started_s, report.sampling, report.decoder,
                        float(report.max_frame_offset_s))


def _print_notes(report: DecodeReport, clip_len_s: float) -> None:
    if report.device or report.device_error:
        print(f"video decoder: {report.decoder}", file=sys.stderr)
    if report.max_frame_offset_s > clip_len_s:
        print(f"key frames are up to {float(report.max_frame_offset_s):.1f} s away from the clips' centers; the "
              "sampling 'exact' misses nothing between them", file=sys.stderr)


def _encode_frames(info: VideoInfo, visual: VisualEncoder, edges_s: list[Fraction], settings: DecodeSettings,
                   report: DecodeReport, title: str, progress: bool | Callable[[float], None]
                   ) -> tuple[dict[str, np.ndarray], tuple[bytes, ...]]:
    """Return the mean features of every clip's frames, (T, width) per part, and a thumbnail per clip."""
    n_clips, per_clip = len(edges_s) - 1, visual.frames_per_clip
    times_s = [start + (end - start) * Fraction(2 * k + 1, 2 * per_clip)
               for start, end in itertools.pairwise(edges_s) for k in range(per_clip)]
    sums = {part: np.zeros((n_clips, width), dtype=np.float32) for part, width in visual.parts.items()}
    thumbnails, ends = bytearray(), [0]   # One buffer, because many small objects would fragment the heap.
    trimmed_at = 0

    def is_thumbnail(index: int) -> bool:
        return index % per_clip == per_clip // 2

    def prepare(item: tuple[range, np.ndarray]) -> tuple[range, torch.Tensor, bytes]:
        indices, frame = item
        return indices, visual.preprocess(frame), _to_jpeg(frame) if any(map(is_thumbnail, indices)) else b""

    def encode(batch: list) -> tuple[list, dict[str, np.ndarray]]:
        return batch, visual.encode(torch.stack([tensor for _, tensor, _ in batch]))

    with inference_pool() as (pool, n_threads), tqdm(total=n_clips, desc=title, unit="clip", file=sys.stderr,
                                                     disable=progress is not True) as bar:
        frames = _group_repeated(frames_at(info.path, times_s, settings=settings, report=report))
        prepared = ordered_map(pool, prepare, frames, n_threads + 1)
        results: Iterator[tuple[list, dict[str, np.ndarray]]] = ordered_map(
            pool, encode, batched(prepared, visual.batch_frames), n_threads + 1)
        for batch, encoded in results:
            rows = [index // per_clip for indices, _, _ in batch for index in indices]
            counts = [len(indices) for indices, _, _ in batch]
            for part, values in encoded.items():
                np.add.at(sums[part], rows, np.repeat(values / per_clip, counts, axis=0))
            for jpeg in (jpeg for indices, _, jpeg in batch for index in indices if is_thumbnail(index)):
                thumbnails += jpeg
                ends.append(len(thumbnails))
            bar.update(len(ends) - 1 - bar.n)
            if len(ends) > trimmed_at + TRIM_EVERY_CLIPS:
                trimmed_at = len(ends)
                trim_heap()   # The heap would otherwise grow, because threads free their memory in fragments.
            if callable(progress):
                progress((len(ends) - 1) / n_clips)
    if len(ends) - 1 < n_clips:
        raise InputError(
            info.path, f"its frames end at {float(edges_s[len(ends) - 1]):.1f} s of {float(info.duration_s):.1f} s",
            "the file seems to be incomplete: copy or convert it again")
    return sums, tuple(bytes(thumbnails[a:b]) for a, b in itertools.pairwise(ends))


def _group_repeated(frames: Iterable[tuple[int, np.ndarray]]) -> Iterator[tuple[range, np.ndarray]]:
    """Yield each frame once, with the range of indices that share it, as several clips may share a key frame."""
    first, shared = 0, None
    for index, frame in frames:
        if shared is not None and frame is not shared:
            yield range(first, index), shared
            first = index
        shared, last = frame, index
    if shared is not None:
        yield range(first, last + 1), shared


@contextmanager
def _audio_in_background(audio: AudioEncoder | None, info: VideoInfo,
                         n_clips: int) -> Iterator[Callable[[], np.ndarray | None]]:
    """Encode the audio in a thread; yield a function that waits for the result (None without audio or encoder)."""
    if audio is None:
        yield lambda: None
        return
    stopped = threading.Event()
    with ThreadPoolExecutor(1, "audio", torch.set_num_threads, (1,)) as pool:
        rows = pool.submit(_encode_audio, info, audio, n_clips, stopped)
        try:
            yield rows.result
        finally:
            stopped.set()


def _encode_audio(info: VideoInfo, audio: AudioEncoder, n_clips: int, stopped: threading.Event) -> np.ndarray | None:
    """Return (n_clips, dims) float32; None for a file without audio, or if `stopped` is set in the meantime."""
    rows, done = np.empty((n_clips, audio.dims), dtype=np.float32), 0
    clips = audio_clips(info.path, n_clips, audio.clip_len_s, rate_hz=audio.rate_hz, zero_s=info.start_s)
    for batch in batched(clips, AUDIO_BATCH_CLIPS):
        if stopped.is_set():
            return None
        rows[done:done + len(batch)] = audio.encode(torch.from_numpy(np.stack(batch)))
        done += len(batch)
    return rows if done else None


def _to_jpeg(frame: np.ndarray) -> bytes:
    image = Image.fromarray(frame)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), reducing_gap=2)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=72)
    return buffer.getvalue()
