"""Cutting without encoding anew: pictures are copied as they are stored, so pieces begin at key frames."""

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
from common.temporal import Interval
from pipelines.media.container import open_video, read_packets, seek, supports_exact_seek
from pipelines.media.frames import SEEK_EARLIER_S
from pipelines.media.probe import VideoInfo
from pipelines.media.subtitles import Cue, cut_cues

from .mp4_writer import Mp4Writer, before_showing
from .reencode import chapters, check_output, checked, known, reporting, sound_of

COPIED = ("h264", "hevc", "av1", "vp9", "mpeg4")   # that players expect in an mp4
LEAST_SHARE = Fraction(1, 2)   # of a short is the piece's, or it is left out
LOOK_AHEAD_S = 2     # pictures are stored at most so long before they are shown


@dataclass(frozen=True)
class PacketRange:
    """Packets that are copied.

    Attributes:
        start: own time stamp of the first picture shown, in ticks.
        end: of the first picture after it, or the end of the last one.
        count: packets from the key frame on, as stored; those shown before it are left out.
        key: own time stamp of the key frame that it begins with; before `start` where an edit list hides what
            leads to the video's first picture, and it stays hidden.
        times: own time stamps of what is copied, as stored.
    """

    start: int
    end: int
    count: int
    key: int
    times: tuple[int, ...] = field(repr=False)


def check_copy(info: VideoInfo) -> None:
    """Checks that a video's pictures can be copied into an mp4.

    Raises:
        InputError: they are stored in another format, or the file cannot be entered in the middle.
    """
    if info.codec not in COPIED:
        raise InputError(f"{info.path}: its pictures ({info.codec}) cannot be copied into an mp4, only "
                         f"{', '.join(COPIED)} can; leave --copy out")
    with open_video(info.path) as (container, _):
        if not supports_exact_seek(container):
            raise InputError(f"{info.path}: its time stamps ({container.format.name}) are not exact enough to copy; "
                             "leave --copy out")


def plan_copy(path: str | os.PathLike | VideoInfo,
              intervals_s: Sequence[tuple[float | Fraction, float | Fraction]]) -> list[PacketRange]:
    """What copying keeps of pieces: each from the key frame at or before its start to its end, or a little later.

    A piece ends before the first picture that what was copied can do without; with pictures stored out
    of order that may be some pictures after the end. Pieces that come to touch are joined.

    Args:
        path: of a video, or what `probe` said of it.
        intervals_s: [start, end) in seconds from the first picture, ascending and apart.

    Raises:
        InputError: as `pipelines.editing.reencode.cut` and `check_copy`; or an edit list hides pictures in the middle.
    """
    info = known(path)
    intervals = checked(info, intervals_s)
    check_copy(info)
    with open_video(info.path) as (container, stream):
        runs: list[PacketRange] = []
        for start_s, end_s in intervals:
            run = _run(container, stream, info, start_s, end_s)
            if runs and run.start <= runs[-1].end:
                first_s = (runs.pop().start * stream.time_base) - info.start_s
                run = _run(container, stream, info, first_s, end_s)
            runs.append(run)
    return runs


def plan_short(info: VideoInfo, piece_s: Interval, room_s: Interval, lengths_s: Interval) -> PacketRange | None:
    """What copying keeps of a piece that stands alone, where its length and place are limited.

    It begins with the key frame at or before the piece's start or with a later one, and ends where the piece
    ends or earlier, whichever keeps most of it; at least half of what it may hold is the piece's.

    Args:
        info: of a video that can be copied, see `check_copy`.
        piece_s: [start, end) in seconds from the first picture; so is `room_s`, which nothing leaves.
        lengths_s: the shortest and the longest that it may be, both included.

    Returns:
        None if no key frame allows it.
    """
    (start_s, end_s), (shortest_s, longest_s) = checked(info, [piece_s])[0], lengths_s
    with open_video(info.path) as (container, stream):
        keys_s = [max(Fraction(0), packet.pts * stream.time_base - info.start_s)
                  for packet in _until(_from_key(container, stream, info, info.start_s + start_s),
                                       stream, info.start_s + end_s) if packet.is_keyframe]
        limits_s = {key_s: min(key_s + longest_s, room_s[1]) for key_s in keys_s if room_s[0] <= key_s}

        def share(key_s: Fraction) -> Fraction:
            return (min(end_s, limits_s[key_s]) - max(start_s, key_s)) / min(end_s - start_s, longest_s)

        for key_s in sorted((key_s for key_s in limits_s if share(key_s) >= LEAST_SHARE), key=share, reverse=True):
            until_s = min(end_s, limits_s[key_s])
            while until_s - key_s >= shortest_s:
                run = _run(container, stream, info, key_s, until_s)
                over_s = run.end * stream.time_base - info.start_s - limits_s[key_s]
                if over_s <= 0:
                    return run
                until_s -= over_s
    return None


def _until(packets: Iterator[Packet], stream: VideoStream, end_s: Fraction) -> Iterator[Packet]:
    return itertools.takewhile(lambda packet: packet.pts * stream.time_base < end_s + LOOK_AHEAD_S, packets)


def kept_intervals(info: VideoInfo, runs: Sequence[PacketRange]) -> list[Interval]:
    """What the runs show: [start, end) in seconds from the first picture."""
    with open_video(info.path) as (_, stream):
        tick_s = stream.time_base
    return [(run.start * tick_s - info.start_s, run.end * tick_s - info.start_s) for run in runs]


def copy_cut(path: str | os.PathLike | VideoInfo, runs: Sequence[PacketRange], out: str | os.PathLike, *,
             progress: bool | Callable[[float], None] | None = None, titles: Sequence[str] = (),
             cues: Sequence[Cue] = ()) -> None:
    """Joins pieces of a video into an mp4; pictures are copied, sound is encoded anew, exact to the sample.

    Args:
        path: of a video, or what `probe` said of it.
        runs: from `plan_copy`.
        out: the mp4, which appears whole or not at all.
        progress: as for `pipelines.editing.reencode.cut`; so are `titles` and `cues`.

    Raises:
        InputError: as `pipelines.editing.reencode.cut` and `check_copy`.
    """
    info, out = known(path), Path(out).absolute()
    check_copy(info)
    check_output(info.path, out)
    intervals = kept_intervals(info, runs)
    with atomic_path(out) as temporary, reporting(progress) as report:
        with CopyingMp4Writer(temporary, out, info, chapters(intervals, titles), cut_cues(cues, intervals)) as mp4:
            _join(mp4, info, runs, intervals, report)
        report(1.0)


class CopyingMp4Writer(Mp4Writer):
    """Pictures are copied as they are stored.

    Attributes:
        order: when each packet is decoded, in ticks of the result; see `decoding_times`.
    """

    hint = "leave --copy out"
    order: Iterator[int]

    def copy(self, packet: Packet, at: int, template: VideoStream) -> None:
        """Adds a packet that is shown at a time, in ticks; before 0 it is only decoded."""
        with self.writing():
            if self.video is None:   # opaque: by the decoder's parameters; some formats have no encoder of that name
                self.video = self.container.add_stream_from_template(template, opaque=True)
                self.add_other_streams()
            packet.pts, packet.dts = at, next(self.order)
            packet.stream = self.video
            self.container.mux(packet)


def decoding_times(shown: Sequence[int], step: int) -> Iterator[int]:
    """When packets are decoded: times that rise, none after its packet is shown.

    Containers do not always know (Matroska stores no such times), and across a join they would step back;
    see `pipelines.editing.mp4_writer.before_showing`.

    Args:
        shown: when each is shown, in ticks, in the order of storage; all differ.
        step: between the first ones, which are decoded before anything is shown.
    """
    rank = {time: i for i, time in enumerate(sorted(shown))}
    depth = max((i - rank[time] for i, time in enumerate(shown)), default=0)
    times = before_showing(min(shown, default=0), depth, step)
    return (heappushpop(times, time) for time in shown)


def _joined(runs: Sequence[PacketRange]) -> Iterator[int]:
    """When packets are shown in the result, in ticks, as stored."""
    joined = 0
    for run in runs:
        yield from (joined + time - run.start for time in run.times)
        joined += run.end - run.start


def _join(mp4: CopyingMp4Writer, info: VideoInfo, runs: Sequence[PacketRange], intervals: list[Interval],
          report: Callable[[float], None]) -> None:
    """Writes pictures and sound side by side, so that neither waits in memory for the other."""
    sound = sound_of(info, intervals, mp4.rate_hz, mp4.layout) if info.has_audio else iter(())
    total, joined = sum(run.end - run.start for run in runs), 0
    with open_video(info.path) as (container, stream):
        mp4.order = decoding_times([*_joined(runs)], max(1, round(1 / info.fps / stream.time_base)))
        for run in runs:
            for number, packet in enumerate(_from_key(container, stream, info, run.key * stream.time_base)):
                if number == run.count:
                    break
                if packet.pts < run.key:
                    continue   # shown before the key frame, by help of what is not there
                at = joined + packet.pts - run.start
                mp4.copy(packet, at, stream)
                while mp4.heard_s < at * stream.time_base and (samples := next(sound, None)) is not None:
                    mp4.play(samples)
                report(min(1.0, max(0, at) / total))
            joined += run.end - run.start
    for samples in sound:
        mp4.play(samples)
    mp4.finish()


def _run(container: InputContainer, stream: VideoStream, info: VideoInfo, start_s: Fraction,
         end_s: Fraction) -> PacketRange:
    begin, end = (int((info.start_s + time_s) // stream.time_base) for time_s in (start_s, end_s))
    end += (info.start_s + end_s) % stream.time_base > 0   # times to whole ticks: pictures before the end count
    shown, ends = [], []
    for packet in _shown(_from_key(container, stream, info, info.start_s + start_s), stream, info):
        shown.append(packet.pts)
        ends.append(packet.pts + (packet.duration or 1))
        if (packet.pts - max(begin, end)) * stream.time_base > LOOK_AHEAD_S:
            break
    key = shown[0]
    wanted = max(i for i, pts in enumerate(shown) if pts < max(end, key + 1))
    while wanted + 1 < len(shown) and min(shown[wanted + 1:]) < max(shown[:wanted + 1]):
        latest = max(shown[:wanted + 1])
        wanted = max(i for i, pts in enumerate(shown) if pts < latest)
    rest, kept = shown[wanted + 1:], shown[:wanted + 1]
    first = int(info.start_s // stream.time_base)
    return PacketRange(max(key, first), min(rest) if rest else max(ends), len(kept), key,
                       tuple(t for t in kept if t >= key))


def _shown(packets: Iterator[Packet], stream: VideoStream, info: VideoInfo) -> Iterator[Packet]:
    """Packets up to the first one that an edit list hides, but for those before the video's first picture.

    Raises:
        InputError: the edit list hides some in the middle.
    """
    first, hidden = info.start_s // stream.time_base, None
    for packet in packets:
        if packet.is_discard and packet.pts >= first:
            hidden = packet.pts if hidden is None else max(packet.pts, hidden)
        elif hidden is None:
            yield packet
        elif packet.pts > hidden:
            raise InputError(f"{info.path}: its edit list hides pictures at "
                             f"{float(hidden * stream.time_base - info.start_s):.1f} s, which copying would show; "
                             "leave --copy out")


def _from_key(container: InputContainer, stream: VideoStream, info: VideoInfo, time_s: Fraction) -> Iterator[Packet]:
    """Packets with a time stamp, as stored, from the last key frame on that is shown at or before a time stamp.

    If there is none, from the first key frame of all.
    """
    begin = time_s // stream.time_base
    for earlier_s in (*SEEK_EARLIER_S, None):
        whole = earlier_s is None or time_s - info.start_s <= earlier_s
        if not seek(container, stream, info.start_s - 1 if whole else time_s - earlier_s) and not whole:
            continue
        place = _last_key(container, stream, begin, info.start_s // stream.time_base, whole)
        if place is not None:
            break
    else:
        raise InputError(f"{info.path}: no key frame to begin with; leave --copy out")
    seek(container, stream, info.start_s - 1 if whole else time_s - earlier_s)
    begun = False
    for packet in read_packets(container, stream):
        if packet.size and packet.pts is not None:
            begun = begun or (packet.is_keyframe and packet.pts == place)
            if begun:
                yield packet


def _last_key(container: InputContainer, stream: VideoStream, begin: int, first: int, whole: bool) -> int | None:
    """Time stamp of the last key frame at or before `begin`; else, of the `whole` file, of the first.

    Hidden ones count only before the video's `first` picture.
    """
    found = None
    for packet in read_packets(container, stream):
        if not packet.size or packet.pts is None or (packet.is_discard and packet.pts >= first):
            continue
        if packet.is_keyframe and (packet.pts <= begin or (whole and found is None)):
            found = packet.pts
        if (packet.pts - begin) * stream.time_base > LOOK_AHEAD_S:
            break
    return found
