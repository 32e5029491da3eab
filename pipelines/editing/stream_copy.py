"""Cut a video by stream copy: packets are copied without re-encoding, so that pieces start at key frames."""

from __future__ import annotations

import itertools
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import heappushpop
from pathlib import Path

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from common.files import atomic_path
from common.progress import Progress, progress_reporter
from common.temporal import Interval
from pipelines.media.container import open_video
from pipelines.media.probe import VideoInfo
from pipelines.media.subtitles import Cue, cut_cues

from .copyability import HINT, NotCopyableError, check_copy, not_copyable
from .decoder_parameters import DecoderParameters
from .joins import Joiner
from .key_frames import MAX_DECODE_LEAD_S, MAX_REORDERED_PACKETS, packets_from_key, packets_until, without_discarded
from .mp4_writer import Mp4Writer, initial_decoding_times
from .piece_audio import read_piece_audio
from .pieces import MIN_STILL_S, as_video_info, check_intervals, check_output, make_chapters

MIN_PIECE_SHARE = Fraction(1, 2)   # A copied short must contain at least this share of what it could of its piece.


@dataclass(frozen=True)
class PacketRange:
    """A range of consecutive packets to copy, in stored order.

    All time stamps are presentation time stamps (PTS) of the source's video stream, in ticks.

    Attributes:
        start: time stamp of the first frame shown.
        end: time stamp of the end of the last frame shown.
        count: number of packets from the key frame onwards, including packets of frames before the key frame, which
            are not copied.
        key: time stamp of the first key frame of the range. It is before `start` if an edit list hides the frames that
            lead to the video's first frame; they stay hidden.
        last: time stamp of the last frame shown. Later frames of the range are copied because shown ones depend on
            them; each is shown for the last tick only.
        times: time stamps of the copied packets, in stored order.
    """

    start: int
    end: int
    count: int
    key: int
    last: int
    times: tuple[int, ...] = field(repr=False)

    def result_times(self) -> Iterator[int]:
        """Yield the presentation times of the copied packets in ticks from the start of the piece, in stored order."""
        needed = sorted(time for time in self.times if time > self.last)
        ends = {time: self.end - self.start - early for early, time in enumerate(reversed(needed), 1)}
        return (ends.get(time, time - self.start) for time in self.times)


def plan_copy(path: str | os.PathLike | VideoInfo,
              intervals_s: Sequence[tuple[float | Fraction, float | Fraction]]) -> list[PacketRange]:
    """Return the packets to copy for pieces: each range starts at the key frame at or before the start of its piece.

    A range ends before the first frame at or after the end of the piece that no copied frame depends on. With B-frames
    that may be a few frames later than the end of the piece. A frame that is shown for longer than a fifth of a second
    ends with the piece. Ranges that overlap or touch are merged.

    Args:
        path: path of a video, or the result of `probe`.
        intervals_s: [start, end) in seconds from the first frame, ascending and disjoint.

    Raises:
        NotCopyableError: as `check_copy`; or an edit list hides frames in the middle, or the resolution changes.
        InputError: as `pipelines.editing.reencode.cut`.
    """
    info = as_video_info(path)
    intervals = check_intervals(info, intervals_s)
    check_copy(info)
    with open_video(info.path) as (container, stream):
        source = _Source(container, stream, info, DecoderParameters(stream))
        ranges: list[PacketRange] = []
        for start_s, end_s in intervals:
            packets = _find_range(source, start_s, end_s)
            if ranges and packets.start <= ranges[-1].end:
                merged_start_s = (ranges.pop().start * stream.time_base) - info.start_s
                packets = _find_range(source, merged_start_s, end_s)
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

    Raises:
        NotCopyableError: as `plan_copy`.
    """
    (start_s, end_s), (shortest_s, longest_s) = check_intervals(info, [piece_s])[0], lengths_s
    with open_video(info.path) as (container, stream):
        source = _Source(container, stream, info, DecoderParameters(stream))
        packets = packets_from_key(container, stream, info, info.start_s + start_s)
        keys_s = [max(Fraction(0), packet.pts * stream.time_base - info.start_s)
                  for packet in packets_until(packets, stream, info.start_s + end_s) if packet.is_keyframe]
        latest_end_s = {key_s: min(key_s + longest_s, room_s[1]) for key_s in keys_s if room_s[0] <= key_s}

        def share(key_s: Fraction) -> Fraction:
            return (min(end_s, latest_end_s[key_s]) - max(start_s, key_s)) / min(end_s - start_s, longest_s)

        candidates = (key_s for key_s in latest_end_s if share(key_s) >= MIN_PIECE_SHARE)
        for key_s in sorted(candidates, key=share, reverse=True):
            until_s = min(end_s, latest_end_s[key_s])
            while until_s - key_s >= shortest_s:
                found = _find_range(source, key_s, until_s)
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
        NotCopyableError: as `check_copy`; or the muxer rejects the stream.
        InputError: as `pipelines.editing.reencode.cut`.
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
    """A writer that copies the packets of the video stream."""

    error, hint = NotCopyableError, HINT

    def copy(self, packet: Packet, times: Times, template: VideoStream) -> None:
        """Mux a packet.

        Args:
            packet: packet of the source.
            times: its times in the result.
            template: the stream that the packet comes from.
        """
        with self.translating_errors():
            if self.video is None:
                # An opaque template copies the codec parameters, because some codecs have no encoder of the same name.
                self.video = self.container.add_stream_from_template(template, opaque=True)
                if template.codec_context.codec.canonical_name == "hevc":
                    self.video.codec_context.codec_tag = "hvc1"   # Apple's players reject FFmpeg's default, hev1.
                self.add_other_streams()
            packet.pts, packet.dts, packet.duration = times
            packet.stream = self.video
            self.container.mux(packet)


Times = tuple[int, int, int]   # Presentation time, decoding time and duration, in ticks of the source.


def packet_times(ranges: Sequence[PacketRange], tick_s: Fraction) -> Iterator[Times]:
    """Yield the times of all packets in the result, in stored order.

    The presentation time of a frame that is only decoded is negative. A frame is shown until the next one. This
    duration differs from that in the source, where it is a distance in decoding order, and where frames follow that
    are not copied.

    Args:
        ranges: packet ranges from `plan_copy`.
        tick_s: seconds per tick.
    """
    starts = [*itertools.accumulate((packets.end - packets.start for packets in ranges), initial=0)]
    times = [start + time for start, packets in zip(starts, ranges, strict=False) for time in packets.result_times()]
    durations = {time: end - time for time, end in itertools.pairwise([*sorted(times), starts[-1]])}
    step = max(1, min(statistics.median_low(durations.values()), int(MIN_STILL_S // tick_s)))
    decoded = [*decoding_times(times, step)]
    # The length of a track is the distance of its decoding times plus the duration of the packet stored last.
    durations[times[-1]] = max(1, starts[-1] - min(times) - (decoded[-1] - decoded[0]))
    return ((time, decoding_time, durations[time]) for time, decoding_time in zip(times, decoded, strict=True))


def decoding_times(presentation_times: Sequence[int], step: int) -> Iterator[int]:
    """Yield decoding times for packets: ascending, and never later than the packet's presentation time.

    The decoding times of the source are not used, because some containers (Matroska) do not store them, and because
    they would step back at the joins; see `pipelines.editing.mp4_writer.initial_decoding_times`. With a constant frame
    rate, they are evenly spaced. Readers take the distance of two decoding times as the duration of a frame, so before
    a frame that is shown for longer, a decoding time is only `step` earlier for each reordered frame.

    Args:
        presentation_times: distinct presentation times in ticks, in stored order.
        step: usual distance of frames in ticks.
    """
    rank = {time: i for i, time in enumerate(sorted(presentation_times))}
    depth = max((i - rank[time] for i, time in enumerate(presentation_times)), default=0)
    heap = initial_decoding_times(min(presentation_times, default=0), depth, step)
    latest = itertools.accumulate(reversed(presentation_times), lambda later, time: min(time, later - 1))
    return (max(heappushpop(heap, time), late - depth * step)
            for time, late in zip(presentation_times, reversed([*latest]), strict=True))


def _write_ranges(mp4: CopyingMp4Writer, info: VideoInfo, ranges: Sequence[PacketRange], intervals: list[Interval],
                  report: Callable[[float], None]) -> None:
    """Write video and audio interleaved, so that neither is buffered for the other."""
    audio = read_piece_audio(info, intervals, mp4.rate_hz, mp4.layout)
    total = sum(packets.end - packets.start for packets in ranges)
    with open_video(info.path) as (container, stream):
        times = packet_times(ranges, stream.time_base)
        joiner = Joiner(info, stream, len(ranges))
        for number, packets in enumerate(ranges):
            key_s, starts_piece = packets.key * stream.time_base, number > 0
            for packet in itertools.islice(packets_from_key(container, stream, info, key_s), packets.count):
                if packet.pts < packets.key:
                    continue   # A leading frame of an open GOP depends on frames that are not copied.
                pts, dts, duration = next(times)
                packet, starts_piece = joiner.adapt(packet, pts, starts_piece), False
                mp4.copy(packet, (pts, dts, duration), stream)
                mp4.add_audio_until(pts * stream.time_base, audio)
                report(min(1.0, max(0, pts) / total))
    for samples in audio:
        mp4.add_audio(samples)
    mp4.finish()


@dataclass(frozen=True)
class _Source:
    """An open video and the decoder parameters of the frames that have been planned."""

    container: InputContainer
    stream: VideoStream
    info: VideoInfo
    parameters: DecoderParameters


def _find_range(source: _Source, start_s: Fraction, end_s: Fraction) -> PacketRange:
    """Return the packets of a piece, from a key frame to a frame that no earlier frame depends on."""
    info, tick_s = source.info, source.stream.time_base
    start, end = (int((info.start_s + time_s) // tick_s) for time_s in (start_s, end_s))
    end += (info.start_s + end_s) % tick_s > 0   # Round up to include frames before the end.
    times, first_unfit = _read_times(source, start_s, max(start, end))
    key, first, video_end = times[0], int(info.start_s // tick_s), round((info.start_s + info.duration_s) / tick_s)
    still = max(1, int(MIN_STILL_S // tick_s))
    if end <= key:   # The piece is before the first key frame.
        end = min([key + still, *(time for time in times if time > key)])
    n_copied = _last_before(times, end) + 1
    # Frames that are stored later but shown earlier than a copied frame would leave a gap, so extend the range.
    while n_copied < len(times) and min(times[n_copied:]) < max(times[:n_copied]):
        n_copied = _last_before(times, max(times[:n_copied])) + 1
    shown = sorted(times[:n_copied])
    last, end_shown = shown[-1], min(times[n_copied:], default=max(video_end, shown[-1] + 1))
    for i, (time, following) in enumerate(itertools.pairwise([*shown, end_shown])):
        if following > end and following - time > still:
            last, end_shown = (time, end) if time < end else (shown[i - 1], time)
            n_copied = _last_before(times, end_shown) + 1
            end_shown = max(end_shown, last + 1 + sum(time > last for time in times[:n_copied]))
            break
    if first_unfit < n_copied:
        at_s = float(times[first_unfit] * tick_s - info.start_s)
        raise not_copyable(info, f"its resolution or another decoder parameter differs at {at_s:.1f} s")
    return PacketRange(max(key, first), end_shown, n_copied, key, last,
                       tuple(time for time in times[:n_copied] if time >= key))


def _read_times(source: _Source, start_s: Fraction, end: int) -> tuple[list[int], int]:
    """Return the time stamps of packets in stored order, from a key frame to the last packet that a piece may need.

    Args:
        source: the video.
        start_s: time in seconds that the key frame must not exceed.
        end: end of the piece, in ticks.

    Returns:
        The time stamps in ticks, and the index of the first packet that has other decoder parameters.
    """
    times: list[int] = []
    first_unfit, n_after = sys.maxsize, 0
    packets = packets_from_key(source.container, source.stream, source.info, source.info.start_s + start_s)
    for packet in without_discarded(packets, source.stream, source.info):
        if first_unfit == sys.maxsize and not source.parameters.fit(packet):
            first_unfit = len(times)
        times.append(packet.pts)
        n_after += bool(n_after) or packet.pts >= end
        late_s = (packet.pts - end) * source.stream.time_base
        if late_s > MAX_DECODE_LEAD_S and n_after > MAX_REORDERED_PACKETS:
            break
    return times, first_unfit


def _last_before(times: Sequence[int], end: int) -> int:
    """Return the index of the last time before `end`; at least one is."""
    return max(i for i, time in enumerate(times) if time < end)
