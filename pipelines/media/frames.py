"""Frames of a video stream in presentation order, from its start or from any later time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from common.errors import InputError

from .container import decode_packets, frame_rate, open_video, read_errors, read_packets, seek
from .display import Display, display_of
from .frame_skipping import skip_nonref_before

SEEK_EARLIER_S = (0, 1, 4, 16, 64)   # Seconds by which successive seeks aim earlier, before reading from the start.

Frames = Iterator[tuple[Fraction, VideoFrame]]   # Frames with their times in seconds.


def in_presentation_order(frames: Iterable[VideoFrame], stream: VideoStream) -> Frames:
    """Yield frames with their time stamps in seconds, strictly increasing.

    A frame without a time stamp follows the previous one by a frame duration; a frame whose time stamp does not
    increase is dropped.
    """
    step_s = 1 / frame_rate(stream)
    last_s = None
    for frame in frames:
        if frame.pts is not None:
            time_s = frame.pts * frame.time_base
        else:
            time_s = Fraction(0) if last_s is None else last_s + step_s
        if last_s is None or time_s > last_s:
            yield time_s, frame
            last_s = time_s


def frames_from(path: Path, zero_s: Fraction, start_s: Fraction,
                opened: tuple[InputContainer, VideoStream] | None = None, *,
                skip_nonref: bool = False) -> Frames:
    """Yield frames from a key frame at or before `start_s` on.

    The index of a file may be wrong. A seek is accepted only if it leads to a key frame that is early enough;
    otherwise it is repeated with earlier targets, and finally the file is read from its start.

    Args:
        path: video file.
        zero_s: time stamp of the first frame, from which all other times count.
        start_s: time in seconds.
        opened: result of `open_video`, which saves opening a long file for every call; a previous reading of it must
            have ended. None opens the file.
        skip_nonref: drop non-reference frames before `start_s`, which no other frame depends on, if the decoder can.

    Yields:
        Time in seconds since `zero_s`, and the frame.

    Raises:
        InputError: as `open_video`.
    """
    with nullcontext(opened) if opened is not None else open_video(path) as (container, stream), read_errors(path):
        needed_s = zero_s + start_s if skip_nonref else None
        for earlier_s in SEEK_EARLIER_S:
            target_s = start_s - earlier_s
            if target_s <= 0 or not seek(container, stream, zero_s + target_s):
                break
            frames = _read_on(container, stream, needed_s)
            found = next(((time_s, frame) for time_s, frame in frames if frame.key_frame), None)
            if found is not None and found[1].pts is not None and found[0] - zero_s <= start_s:
                key_s, key = found
                yield key_s - zero_s, key
                yield from ((time_s - zero_s, frame) for time_s, frame in frames)
                return
    with open_video(path) as (container, stream):
        yield from ((time_s - zero_s, frame) for time_s, frame in _read_on(container, stream, needed_s))


def _read_on(container: InputContainer, stream: VideoStream, needed_s: Fraction | None = None) -> Frames:
    """Yield the frames from the current position on, without non-reference frames before the time stamp `needed_s`."""
    packets = read_packets(container, stream)
    if needed_s is not None:
        # The first field of an interlaced frame may be a packet with an earlier time stamp, hence one frame earlier.
        packets = skip_nonref_before(packets, stream, needed_s - 1 / frame_rate(stream))
    return in_presentation_order(decode_packets(packets, stream), stream)


def probe_first_frame(path: str | os.PathLike) -> tuple[Fraction, Display]:
    """Return the time stamp of the first frame in seconds, from which all times count, and how frames are displayed.

    Raises:
        InputError: as `open_video`, or no frame can be decoded.
    """
    with open_video(path) as (container, stream):
        stream.thread_type = "SLICE"   # Frame threads would delay the first frame.
        for time_s, frame in _read_on(container, stream):
            return time_s, display_of(frame, stream)
    raise no_frames_error(path)


def no_frames_error(path: str | os.PathLike) -> InputError:
    """Return the error for a video none of whose frames can be decoded."""
    return InputError(path, "none of its frames can be decoded",
                      "the file is damaged or incomplete: copy or convert it again")
