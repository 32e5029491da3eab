"""Continuous time for MPEG transport and program streams that were concatenated byte by byte.

The time stamps of such a file restart in every part, so a time stamp alone does not tell where a packet belongs; its
position in the file does. The functions work on the positions and time stamps of packets, without decoding.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

import numpy as np
from av.packet import Packet

from .presentation_times import PresentationClock

TICKS_PER_S = 90_000   # All time stamps of MPEG streams count ticks of 1/90000 s (ISO/IEC 13818-1) ...
WRAP = 1 << 33         # ... and wrap around to 0 after 26.5 hours.
MAX_GAP = 10 * TICKS_PER_S        # A longer gap in all streams is a discontinuity; FFmpeg uses the same threshold.
MIN_AUDIO_STEP = TICKS_PER_S // 10   # In a file without video, smaller steps back are errors of the encoder.
MAX_OVERHANG = TICKS_PER_S // 2   # Audio that begins earlier, or ends later, than the video by more extends a part.
MAX_EARLIER = 3600 * TICKS_PER_S  # No packet of a part is presented earlier than this before the part's first packet.
HEAD_BYTES = 24       # The beginning of a packet, which tells its codec and usually the settings of the encoder.
MAX_LATE_BYTES = 16 << 10   # A part whose video begins later may begin with another stream.
INDEX_STEP = TICKS_PER_S // 4   # Distance of the entries in the index, in which every packet may be a key frame.


class PacketTable:
    """Positions and time stamps of one stream's packets, in stored order.

    Args:
        clock: a clock for the stream.

    Attributes:
        positions: byte position of each packet; packets that begin in the same PES packet have the same position.
        decoding: decoding times in ticks.
        is_complete: True if all packets have a presentation time.
        durations: durations in ticks.
        keys: 1 for key frames.
        heads: the first bytes of each packet whose time stamp does not continue, by position.
    """

    def __init__(self, clock: PresentationClock):
        self.clock, self.is_complete = clock, True
        self.positions, self.decoding, self._stored, self._estimated, self.durations = (array("q") for _ in range(5))
        self.keys = array("b")
        self.heads: dict[int, bytes] = {}

    @property
    def presentation(self) -> np.ndarray:
        """The presentation times in ticks; if some are missing, all are estimated, and not in order of the packets."""
        return np.frombuffer(self._stored if self.is_complete else self._estimated, np.int64)

    def add(self, packet: Packet) -> None:
        """Add the next packet."""
        last = self.positions[-1] if self.positions else 0
        self.positions.append(last if packet.pos is None else packet.pos)
        time = self.clock.decoding_time(packet)
        if self.clock.restarted:
            self.heads[self.positions[-1]] = bytes(packet)[:HEAD_BYTES]
        self.decoding.append(time)
        self._stored.append(time if packet.pts is None else packet.pts)
        self._estimated.append(time + self.clock.delay)
        self.is_complete = self.is_complete and packet.pts is not None
        self.durations.append(packet.duration or self.clock.default_duration)
        self.keys.append(packet.is_keyframe)

    def first_from(self, position: int) -> int:
        """Return the index of the first packet at or after a position."""
        return int(np.searchsorted(np.frombuffer(self.positions, np.int64), position)) if self.positions else 0

    def jumps(self, strict: bool) -> list[_Jump]:
        """Return the places where the decoding time stamps step back or skip more than `MAX_GAP`.

        Args:
            strict: True if a repeated time stamp counts as a step back only at a key frame, as two fields of a frame
                may share one.
        """
        if len(self.decoding) < 2:
            return []
        distances: np.ndarray = np.diff(np.frombuffer(self.decoding, np.int64))
        steps = (distances + WRAP // 2) % WRAP - WRAP // 2   # From half a wrap backward to half a wrap ahead.
        repeated = (steps == 0) & ((np.frombuffer(self.keys, np.int8)[1:] > 0) | (not strict))
        back, ahead = (steps < 0) | repeated, steps > MAX_GAP
        if ahead.any():   # A stream of slides has long gaps everywhere.
            ahead &= steps > 100 * np.median(steps)
        # Packets of one position belong to one part; the time stamps of all but the first of them are estimated.
        apart = np.diff(np.frombuffer(self.positions, np.int64)) > 0
        return [_Jump(self.positions[i] + 1, self.positions[i + 1], int(steps[i]))
                for i in np.flatnonzero((back | ahead) & apart)]


def without_inferred_times(packets: Iterable[Packet]) -> Iterator[Packet]:
    """Yield packets, without the presentation times of video that FFmpeg infers, which are wrong where parts meet.

    Only the first frame of a PES packet has a time stamp, and only its packet has a position.
    """
    for packet in packets:
        if packet.pos is None and packet.size and packet.stream.type == "video":
            packet.pts = None
        yield packet


@dataclass(frozen=True)
class _Jump:
    """A jump of a stream's time stamps. A new part begins at `earliest` to `latest`, both included."""

    earliest: int
    latest: int
    step: int


@dataclass(frozen=True)
class Timeline:
    """The parts of a concatenated stream and their place in continuous time.

    The first part keeps its time stamps. The video of each following part begins where that of the previous one ends.

    Attributes:
        starts: byte position of the start of each part, ascending; the first one is 0.
        origins: a time stamp in each part, in ticks. A stamp of the part is at most an hour before its origin.
        shifted: the continuous time of each origin, in ticks.
        index_ticks: continuous time stamps at which reading can start, ascending.
        index_positions: the byte positions of `index_ticks`.
    """

    starts: tuple[int, ...]
    origins: tuple[int, ...]
    shifted: tuple[int, ...]
    index_ticks: Sequence[int] = field(default=(), repr=False)
    index_positions: Sequence[int] = field(default=(), repr=False)

    def shift(self, stamp: int, position: int) -> int:
        """Return the continuous time stamp of a packet at a byte position."""
        part = max(0, bisect_right(self.starts, position) - 1)
        return self.shifted[part] + (stamp - self.origins[part] + MAX_EARLIER) % WRAP - MAX_EARLIER

    def apply(self, packets: Iterable[Packet]) -> Iterator[Packet]:
        """Yield a stream's packets with continuous time stamps; they must begin at the start of a PES packet."""
        position = 0
        for packet in packets:
            position = position if packet.pos is None else packet.pos
            if packet.pts is not None:
                packet.pts = self.shift(packet.pts, position)
            if packet.dts is not None:
                packet.dts = self.shift(packet.dts, position)
            yield packet

    def position_before(self, ticks: int) -> int:
        """Return the last byte position at which reading can start to get everything from a continuous time on."""
        at = bisect_right(self.index_ticks, ticks) - 1
        return self.index_positions[at] if at >= 0 else 0


def find_timeline(video: PacketTable | None, audio: PacketTable | None) -> Timeline | None:
    """Return the timeline of a file; None if its time stamps are continuous, apart from a wrap at 2^33 ticks.

    Args:
        video: the packets of the main video stream, or None.
        audio: the packets of the audio stream that belongs to it, or None.
    """
    tables = [table for table in (video, audio) if table is not None and table.positions]
    if not tables:
        return None
    starts = _part_starts(video, audio)
    if len(starts) == 1:
        return None
    origins: list[int] = []
    shifted: list[int] = []
    end = 0
    for start, until in zip(starts, [*starts[1:], None], strict=True):
        main = next(table for table in tables if table.first_from(start) < _until(table, until))
        origin = main.decoding[main.first_from(start)]
        extents = [extent for table in tables if (extent := _extent(table, start, until, origin)) is not None]
        first, last = extents[0]
        for other_first, other_last in extents[1:]:
            first = other_first if other_first < first - MAX_OVERHANG else first
            last = other_last if other_last > last + MAX_OVERHANG else last
        shifted.append(end - first if shifted else origin)
        origins.append(origin)
        end = shifted[-1] + last
    timeline = Timeline(tuple(starts), tuple(origins), tuple(shifted))
    index_ticks, index_positions = _index(timeline, tables[0])
    return replace(timeline, index_ticks=index_ticks, index_positions=index_positions)


def unusual_parts(timeline: Timeline | None, tables: Sequence[PacketTable],
                  n_bytes: int) -> Iterator[tuple[int, float]]:
    """Yield the parts that may not continue the streams of the first one.

    Args:
        timeline: result of `find_timeline`.
        tables: the packets of each stream, the main one first.
        n_bytes: size of the file.

    Yields:
        Byte position of the part, and its start in seconds.
    """
    main = tables[0] if tables else None
    if main is None or not main.positions:
        return
    zero = int(main.presentation.min()) if timeline is None else timeline.shift(main.decoding[0], 0)
    seen = {_heads(tables, 0)}
    for start, shifted in zip(timeline.starts[1:], timeline.shifted[1:], strict=True) if timeline is not None else ():
        first, heads = main.first_from(start), _heads(tables, start)
        late = first == len(main.positions) or main.positions[first] - start > MAX_LATE_BYTES
        if heads not in seen or late:
            yield start, (shifted - zero) / TICKS_PER_S
        seen.add(heads)
    last, distances = main.positions[-1], np.diff(np.frombuffer(main.positions, np.int64))
    if n_bytes - last > 2 * int(distances.max(initial=0)) + MAX_LATE_BYTES:
        yield last + 1, (main.decoding[-1] - main.decoding[0] if timeline is None else 0) / TICKS_PER_S


def _heads(tables: Sequence[PacketTable], start: int) -> tuple[bytes, ...]:
    """Return the first bytes of each stream's first packet at or after a position; of audio, only what is constant."""
    heads = []
    for table, length in zip(tables, (HEAD_BYTES, 2), strict=False):
        first = table.first_from(start)
        position = table.positions[first] if first < len(table.positions) else -1
        heads.append(table.heads.get(position, b"")[:length])
    return tuple(heads)


def _until(table: PacketTable, position: int | None) -> int:
    return len(table.positions) if position is None else table.first_from(position)


def _extent(table: PacketTable, start: int, until: int | None, origin: int) -> tuple[int, int] | None:
    """Return start and end of a stream's packets at positions [start, until), in ticks from `origin`."""
    part = slice(table.first_from(start), _until(table, until))
    stamps = table.presentation[part]
    if not len(stamps):
        return None
    stamps = (stamps - origin + MAX_EARLIER) % WRAP - MAX_EARLIER
    return int(stamps.min()), int((stamps + np.frombuffer(table.durations, np.int64)[part]).max())


def _part_starts(video: PacketTable | None, audio: PacketTable | None) -> list[int]:
    """Return the byte position of the start of each part, ascending, beginning with 0."""
    video_jumps = video.jumps(strict=True) if video is not None else []
    audio_jumps = audio.jumps(strict=False) if audio is not None else []
    windows: list[_Jump] = []   # Each jump is explained by a start in a window; the fewest windows are used.
    for jump in sorted([*video_jumps, *audio_jumps], key=lambda jump: jump.latest):
        if not windows or jump.earliest > windows[-1].latest:
            windows.append(jump)
    starts = [0]
    for window, following in zip_longest(windows, windows[1:]):
        seen = [[jump for jump in jumps if jump.earliest <= window.latest and jump.latest >= window.earliest]
                for jumps in (video_jumps, audio_jumps)]
        start = max(jump.earliest for jumps in seen for jump in jumps)
        if video is None or not video.positions:
            accepted = any(not -MIN_AUDIO_STEP < jump.step <= 0 for jump in seen[1])
        elif seen[0]:
            accepted = bool(seen[1]) or not _continues(audio, start)
        else:   # A part without video.
            accepted = video.first_from(start) == _until(video, None if following is None else following.earliest)
        if accepted:
            starts.append(start)
    return starts


def _continues(table: PacketTable | None, position: int) -> bool:
    """Return True if a stream has packets both before and after a position."""
    return table is not None and 0 < table.first_from(position) < len(table.positions)


def _index(timeline: Timeline, table: PacketTable) -> tuple[list[int], list[int]]:
    """Return continuous time stamps and byte positions at which reading can start: key frames, in stored order."""
    ticks: list[int] = []
    positions: list[int] = []
    for stamp, position, is_key in zip(table.presentation.tolist(), table.positions, table.keys, strict=True):
        at = timeline.shift(stamp, position) if is_key else 0
        if is_key and (not ticks or at >= ticks[-1] + INDEX_STEP):
            ticks.append(at)
            positions.append(position)
    return ticks, positions
