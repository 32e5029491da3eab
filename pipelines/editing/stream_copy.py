"""Cut a video by stream copy: packets are copied without re-encoding, so that pieces start at key frames."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import heappushpop
from pathlib import Path

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from common.errors import InputError
from common.files import atomic_path
from common.progress import Progress, progress_reporter
from common.temporal import Interval
from pipelines.media.container import open_video, read_packets, seek, supports_exact_seek
from pipelines.media.frames import SEEK_EARLIER_S
from pipelines.media.probe import VideoInfo
from pipelines.media.subtitles import Cue, cut_cues

from .mp4_writer import Mp4Writer, initial_decoding_times
from .piece_audio import read_piece_audio
from .pieces import as_video_info, check_intervals, check_output, make_chapters

COPYABLE_CODECS = ("h264", "hevc", "av1", "vp9", "mpeg4")   # Video codecs that players expect in an mp4.
MIN_PIECE_SHARE = Fraction(1, 2)   # A copied short must contain at least this share of what it could of its piece.
MAX_DECODE_LEAD_S = 2              # A packet is stored at most this long before its presentation time.
HINT = "leave out --copy"


@dataclass(frozen=True)
class PacketRange:
    """A range of consecutive packets to copy, in stored order.

    All time stamps are presentation time stamps (PTS) of the source's video stream, in ticks.

    Attributes:
        start: time stamp of the first frame shown.
        end: time stamp of the first frame after the range, or the end of the last frame of the video.
        count: number of packets from the key frame onwards, including packets of frames before the key frame, which
            are not copied.
        key: time stamp of the first key frame of the range. It is before `start` if an edit list hides the frames that
            lead to the video's first frame; they stay hidden.
        times: time stamps of the copied packets, in stored order.
    """

    start: int
    end: int
    count: int
    key: int
    times: tuple[int, ...] = field(repr=False)


def check_copy(info: VideoInfo) -> None:
    """Check that the video stream of a file can be copied to an mp4.

    Raises:
        InputError: its codec is not supported, or the file cannot be sought exactly.
    """
    if info.codec not in COPYABLE_CODECS:
        raise InputError(info.path, f"its video codec ({info.codec}) cannot be copied to an mp4, only "
                         f"{', '.join(COPYABLE_CODECS)} can", HINT)
    with open_video(info.path) as (container, _):
        if not supports_exact_seek(container):
            raise InputError(info.path, f"its time stamps ({container.format.name}) are not exact enough to copy", HINT)


def plan_copy(path: str | os.PathLike | VideoInfo,
              intervals_s: Sequence[tuple[float | Fraction, float | Fraction]]) -> list[PacketRange]:
    """Return the packets to copy for pieces: each range starts at the key frame at or before the start of its piece.

    A range ends before the first frame at or after the end of the piece that no copied frame depends on. With B-frames
    that may be a few frames later than the end of the piece. Ranges that overlap or touch are merged.

    Args:
        path: path of a video, or the result of `probe`.
        intervals_s: [start, end) in seconds from the first frame, ascending and disjoint.

    Raises:
        InputError: as `pipelines.editing.reencode.cut` and `check_copy`; or an edit list hides frames in the middle.
    """
    info = as_video_info(path)
    intervals = check_intervals(info, intervals_s)
    check_copy(info)
    with open_video(info.path) as (container, stream):
        ranges: list[PacketRange] = []
        for start_s, end_s in intervals:
            packets = _find_range(container, stream, info, start_s, end_s)
            if ranges and packets.start <= ranges[-1].end:
                merged_start_s = (ranges.pop().start * stream.time_base) - info.start_s
                packets = _find_range(container, stream, info, merged_start_s, end_s)
            ranges.append(packets)
    return ranges


def plan_short(info: VideoInfo, piece_s: Interval, room_s: Interval, lengths_s: Interval) -> PacketRange | None:
    """Return the packets to copy for one piece whose length and position are limited.

    The range starts at the key frame at or before the start of the piece or at a later one, and ends with the piece or
    earlier, whichever contains most of the piece. It contains at least half of what the limits permit.

    Args:
        info: properties of a video that can be copied, see `check_copy`.
        piece_s: [start, end) in seconds from the first frame.
        room_s: [start, end) that the range must stay within.
        lengths_s: the minimum and maximum length of the range, both included.

    Returns:
        The range, or None if no key frame permits one.
    """
    (start_s, end_s), (shortest_s, longest_s) = check_intervals(info, [piece_s])[0], lengths_s
    with open_video(info.path) as (container, stream):
        packets = _packets_from_key(container, stream, info, info.start_s + start_s)
        keys_s = [max(Fraction(0), packet.pts * stream.time_base - info.start_s)
                  for packet in _packets_until(packets, stream, info.start_s + end_s) if packet.is_keyframe]
        latest_end_s = {key_s: min(key_s + longest_s, room_s[1]) for key_s in keys_s if room_s[0] <= key_s}

        def share(key_s: Fraction) -> Fraction:
            return (min(end_s, latest_end_s[key_s]) - max(start_s, key_s)) / min(end_s - start_s, longest_s)

        candidates = (key_s for key_s in latest_end_s if share(key_s) >= MIN_PIECE_SHARE)
        for key_s in sorted(candidates, key=share, reverse=True):
            until_s = min(end_s, latest_end_s[key_s])
            while until_s - key_s >= shortest_s:
                found = _find_range(container, stream, info, key_s, until_s)
                excess_s = found.end * stream.time_base - info.start_s - latest_end_s[key_s]
                if excess_s <= 0:
                    return found
                until_s -= excess_s
    return None


def kept_intervals(info: VideoInfo, ranges: Sequence[PacketRange]) -> list[Interval]:
    """Return what packet ranges show: [start, end) in seconds from the first frame."""
    with open_video(info.path) as (_, stream):
        tick_s = stream.time_base
    return [(packets.start * tick_s - info.start_s, packets.end * tick_s - info.start_s) for packets in ranges]


def copy_cut(path: str | os.PathLike | VideoInfo, ranges: Sequence[PacketRange], out: str | os.PathLike, *,
             progress: Progress = None, titles: Sequence[str] = (), cues: Sequence[Cue] = ()) -> None:
    """Join pieces of a video into an mp4; the video is copied, the audio is re-encoded, exact to the sample.

    Args:
        path: path of a video, or the result of `probe`.
        ranges: packet ranges from `plan_copy`.
        out: path of the mp4 file, which is written atomically.
        progress: see `pipelines.editing.reencode.cut`.
        titles: see `pipelines.editing.reencode.cut`.
        cues: see `pipelines.editing.reencode.cut`.

    Raises:
        InputError: as `pipelines.editing.reencode.cut` and `check_copy`.
    """
    info, out = as_video_info(path), Path(out).absolute()
    check_copy(info)
    check_output(info.path, out)
    intervals = kept_intervals(info, ranges)
    chapters, piece_cues = make_chapters(intervals, titles), cut_cues(cues, intervals)
    with atomic_path(out) as temporary, progress_reporter(progress, "cutting") as report:
        with CopyingMp4Writer(temporary, out, info, chapters, piece_cues) as mp4:
            _write_ranges(mp4, info, ranges, intervals, report)
        report(1.0)


class CopyingMp4Writer(Mp4Writer):
    """A writer that copies the packets of the video stream.

    Attributes:
        decoding_times: decoding time of each packet, in ticks of the result; see `decoding_times`.
    """

    hint = HINT
    decoding_times: Iterator[int]

    def copy(self, packet: Packet, pts: int, template: VideoStream) -> None:
        """Mux a packet.

        Args:
            packet: packet of the source.
            pts: presentation time of the packet in the result, in ticks; negative for a frame that is only decoded.
            template: the stream that the packet comes from.
        """
        with self.translating_errors():
            if self.video is None:
                # An opaque template copies the codec parameters, because some codecs have no encoder of the same name.
                self.video = self.container.add_stream_from_template(template, opaque=True)
                self.add_other_streams()
            packet.pts, packet.dts = pts, next(self.decoding_times)
            packet.stream = self.video
            self.container.mux(packet)


def decoding_times(presentation_times: Sequence[int], step: int) -> Iterator[int]:
    """Yield decoding times for packets: ascending, and never later than the packet's presentation time.

    The decoding times of the source are not used, because some containers (Matroska) do not store them, and because
    they would step back at the joins; see `pipelines.editing.mp4_writer.initial_decoding_times`.

    Args:
        presentation_times: distinct presentation times in ticks, in stored order.
        step: ticks between the decoding times before the first frame.
    """
    rank = {time: i for i, time in enumerate(sorted(presentation_times))}
    depth = max((i - rank[time] for i, time in enumerate(presentation_times)), default=0)
    heap = initial_decoding_times(min(presentation_times, default=0), depth, step)
    return (heappushpop(heap, time) for time in presentation_times)


def _presentation_times(ranges: Sequence[PacketRange]) -> Iterator[int]:
    """Yield the presentation times of all packets in the result, in ticks and in stored order."""
    range_start = 0
    for packets in ranges:
        yield from (range_start + time - packets.start for time in packets.times)
        range_start += packets.end - packets.start


def _write_ranges(mp4: CopyingMp4Writer, info: VideoInfo, ranges: Sequence[PacketRange], intervals: list[Interval],
                  report: Callable[[float], None]) -> None:
    """Write video and audio interleaved, so that neither is buffered for the other."""
    audio = read_piece_audio(info, intervals, mp4.rate_hz, mp4.layout)
    total, range_start = sum(packets.end - packets.start for packets in ranges), 0
    with open_video(info.path) as (container, stream):
        frame_ticks = max(1, round(1 / info.fps / stream.time_base))
        mp4.decoding_times = decoding_times([*_presentation_times(ranges)], frame_ticks)
        for packets in ranges:
            key_s = packets.key * stream.time_base
            for packet in itertools.islice(_packets_from_key(container, stream, info, key_s), packets.count):
                if packet.pts < packets.key:
                    continue   # A leading frame of an open GOP depends on frames that are not copied.
                pts = range_start + packet.pts - packets.start
                mp4.copy(packet, pts, stream)
                mp4.add_audio_until(pts * stream.time_base, audio)
                report(min(1.0, max(0, pts) / total))
            range_start += packets.end - packets.start
    for samples in audio:
        mp4.add_audio(samples)
    mp4.finish()


def _find_range(container: InputContainer, stream: VideoStream, info: VideoInfo, start_s: Fraction,
                end_s: Fraction) -> PacketRange:
    """Return the packets of a piece, from a key frame to a frame that no earlier frame depends on."""
    start, end = (int((info.start_s + time_s) // stream.time_base) for time_s in (start_s, end_s))
    end += (info.start_s + end_s) % stream.time_base > 0   # Round up to include frames before the end.
    times, frame_ends = [], []
    packets = _packets_from_key(container, stream, info, info.start_s + start_s)
    for packet in _without_discarded(packets, stream, info):
        times.append(packet.pts)
        frame_ends.append(packet.pts + (packet.duration or 1))
        if (packet.pts - max(start, end)) * stream.time_base > MAX_DECODE_LEAD_S:
            break
    key = times[0]
    last = max(i for i, pts in enumerate(times) if pts < max(end, key + 1))
    # Frames that are stored later but shown earlier than a copied frame would leave a gap, so extend the range.
    while last + 1 < len(times) and min(times[last + 1:]) < max(times[:last + 1]):
        latest = max(times[:last + 1])
        last = max(i for i, pts in enumerate(times) if pts < latest)
    copied, rest = times[:last + 1], times[last + 1:]
    first = int(info.start_s // stream.time_base)
    return PacketRange(max(key, first), min(rest) if rest else max(frame_ends), len(copied), key,
                       tuple(time for time in copied if time >= key))


def _packets_until(packets: Iterator[Packet], stream: VideoStream, end_s: Fraction) -> Iterator[Packet]:
    return itertools.takewhile(lambda packet: packet.pts * stream.time_base < end_s + MAX_DECODE_LEAD_S, packets)


def _without_discarded(packets: Iterator[Packet], stream: VideoStream, info: VideoInfo) -> Iterator[Packet]:
    """Yield packets up to the first one that an edit list hides; hidden packets before the first frame are included.

    Raises:
        InputError: the edit list hides packets in the middle.
    """
    first, hidden = info.start_s // stream.time_base, None
    for packet in packets:
        if packet.is_discard and packet.pts >= first:
            hidden = packet.pts if hidden is None else max(packet.pts, hidden)
        elif hidden is None:
            yield packet
        elif packet.pts > hidden:
            raise InputError(info.path, "its edit list hides frames at "
                             f"{float(hidden * stream.time_base - info.start_s):.1f} s, which copying would show", HINT)


def _packets_from_key(container: InputContainer, stream: VideoStream, info: VideoInfo,
                      time_s: Fraction) -> Iterator[Packet]:
    """Yield packets in stored order from the last key frame at or before a time, else from the first key frame.

    Seeking may end at a packet after the time, so earlier seek positions are tried, finally the start of the file.

    Args:
        container: an open file.
        stream: video stream of the file.
        info: properties of the video.
        time_s: a presentation time of the stream, in seconds.

    Raises:
        InputError: there is no key frame.
    """
    time = time_s // stream.time_base
    for earlier_s in (*SEEK_EARLIER_S, None):
        if earlier_s is None or time_s - info.start_s <= earlier_s:
            from_start, seek_s = True, info.start_s - 1
        else:
            from_start, seek_s = False, time_s - earlier_s
        if not seek(container, stream, seek_s) and not from_start:
            continue
        key = _last_key(container, stream, time, info.start_s // stream.time_base, from_start)
        if key is not None:
            break
    else:
        raise InputError(info.path, "has no key frame to start at", HINT)
    seek(container, stream, seek_s)
    started = False
    for packet in read_packets(container, stream):
        if packet.size and packet.pts is not None:
            started = started or (packet.is_keyframe and packet.pts == key)
            if started:
                yield packet


def _last_key(container: InputContainer, stream: VideoStream, time: int, first: int, from_start: bool) -> int | None:
    """Return the time stamp of the last key frame at or before `time`, reading from the current position.

    Args:
        container: an open file, positioned by a seek.
        stream: video stream of the file.
        time: a presentation time in ticks.
        first: time stamp of the video's first frame; from it on, frames hidden by an edit list are ignored.
        from_start: True if the position is the start of the file; the first key frame is then accepted even if it is
            later than `time`.
    """
    found = None
    for packet in read_packets(container, stream):
        if not packet.size or packet.pts is None or (packet.is_discard and packet.pts >= first):
            continue
        if packet.is_keyframe and (packet.pts <= time or (from_start and found is None)):
            found = packet.pts
        if (packet.pts - time) * stream.time_base > MAX_DECODE_LEAD_S:
            break
    return found
