"""Writing an mp4: pictures, sound, subtitles and chapters, each at its time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from fractions import Fraction
from heapq import heappushpop
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.codec.context import CodecContext, Flags
from av.packet import Packet
from av.subtitles.stream import SubtitleStream
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from common.errors import InputError
from common.files import DISK_ERRORS
from pipelines.media.container import audio_stream, open_video
from pipelines.media.frames import Frames, no_frames_error
from pipelines.media.probe import VideoInfo
from pipelines.media.subtitles import Cue

AAC_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
AAC_BITS_PER_S = dict(mono=128_000, stereo=192_000)
H264 = dict(preset="superfast", crf="22")   # as good as veryfast at 20 in two thirds of the time, a quarter larger
TICKS = (10_000, 1_000_000)        # a second in the result has at least and at most so many
MS = Fraction(1, 1000)             # subtitles and chapters are timed to it
KEPT_METADATA = ("title", "artist", "date", "creation_time", "copyright", "comment", "description")
LONGEST_CUE_BYTES = 65_535         # what its 16 bits of length can say
SUBTITLE_STYLE = b"""[Script Info]
ScriptType: v4.00+
[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, \
Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, \
MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
""".replace(b"\\\n", b"")

Chapter = tuple[Fraction, Fraction, str]   # [start, end) in seconds of the result, and its title


class Mp4Writer:
    """An mp4 being written; what goes wrong with its place names the output, all else the video.

    Attributes:
        hint: what to do about a video that cannot be written so.

    Args:
        temporary: the file to write; `out` is its name in messages.
        info: of the video that pictures and sound come from.
        chapters: ascending and apart.
        cues: subtitles in the result's time, by rising start; they become a track of their own.
    """

    hint = "convert it to H.264 first"

    def __init__(self, temporary: Path, out: Path, info: VideoInfo, chapters: Sequence[Chapter] = (),
                 cues: Sequence[Cue] = ()):
        self.temporary, self.out, self.info = temporary, out, info
        self.chapters, self.cues = chapters, cues
        self.rate_hz, self.layout, self.heard = 0, "mono", 0
        self.video: VideoStream | None = None

    def __enter__(self) -> Mp4Writer:
        with open_video(self.info.path) as (source, pictures):
            self.tick_s = tick_s(pictures.time_base)
            kept = {key: value for key, value in source.metadata.items() if key in KEPT_METADATA}
            stream = audio_stream(source)
            if stream is not None:
                context = stream.codec_context
                self.rate_hz = min((r for r in AAC_RATES_HZ if r >= context.sample_rate), default=AAC_RATES_HZ[-1])
                self.layout = "mono" if context.channels == 1 else "stereo"
        with self.writing():
            self.container = av.open(str(self.temporary), "w", format="mp4", options=dict(movflags="+faststart"))
            self.container.metadata.update(kept)
            self.container.set_chapters([
                dict(id=number, start=round(start_s / MS), end=round(end_s / MS), time_base=MS,
                     metadata=dict(title=title))
                for number, (start_s, end_s, title) in enumerate(self.chapters, 1)])
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            with self.writing():
                self.container.close()
            return
        with suppress(av.error.FFmpegError, OSError):   # the first error counts
            self.container.close()

    @property
    def heard_s(self) -> Fraction:
        return Fraction(self.heard, self.rate_hz) if self.rate_hz else Fraction(0)

    def play(self, samples: np.ndarray) -> None:
        """Adds sound (channels, n) after what was added before."""
        if not samples.size:   # of a piece shorter than a sample
            return
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", self.layout)
        frame.sample_rate, frame.pts, frame.time_base = self.rate_hz, self.heard, Fraction(1, self.rate_hz)
        with self.writing():
            self.container.mux(self.audio.encode(frame))
        self.heard += samples.shape[1]

    def finish(self) -> None:
        """Writes what the encoder of the sound still holds."""
        if self.video is None:
            raise no_frames_error(self.info.path)
        if self.rate_hz:
            with self.writing():
                self.container.mux(self.audio.encode(None))

    def add_other_streams(self) -> None:
        """Adds sound and subtitles, after the pictures' stream."""
        if self.rate_hz:
            self.audio = self.container.add_stream("aac", rate=self.rate_hz, layout=self.layout)
            self.audio.bit_rate = AAC_BITS_PER_S[self.layout]
        if self.cues:
            subtitles = self.container.add_stream("mov_text")
            subtitles.codec_context.subtitle_header = SUBTITLE_STYLE
            subtitles.time_base = subtitles.codec_context.time_base = MS
            self.container.start_encoding()
            self.container.mux([self._sample(cue, subtitles) for cue in self.cues])   # the muxer sorts by time

    def _sample(self, cue: Cue, stream: SubtitleStream) -> Packet:
        """A text sample: its length in 16 bits, then UTF-8 (3GPP TS 26.245, 5.17)."""
        text = cue.text.encode("utf-8", "replace")[:LONGEST_CUE_BYTES].decode("utf-8", "ignore").encode()
        packet = Packet(len(text).to_bytes(2, "big") + text)
        packet.pts = packet.dts = round(Fraction(cue.start_s) / MS)
        packet.duration, packet.time_base, packet.stream = round(Fraction(cue.end_s) / MS) - packet.pts, MS, stream
        return packet

    @contextmanager
    def writing(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, OSError, ValueError) as err:
            reason = getattr(err, "strerror", None) or err
            if getattr(err, "errno", None) in DISK_ERRORS:
                raise InputError(f"{self.out}: could not be written ({reason}); make room on the disk or name "
                                 "another place") from err
            raise InputError(f"{self.info.path}: its cut could not be written ({reason}); {self.hint}") from err


class EncodingMp4Writer(Mp4Writer):
    """Pictures are encoded anew by H.264, every piece by an encoder of its own, so that several can work at once.

    Attributes:
        look: the first picture, whose size and colours all pieces have; `encode` waits for `add` to find it.
        threads: of each encoder; 0 lets it choose for itself.
        seen_s: when the last picture added begins, in the result.
    """

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.look: Future[VideoFrame] = Future()
        self.threads = 0
        self.seen_s = Fraction(0)
        self.times: list[int] = []   # see `before_showing`

    def encode(self, pictures: Frames, end_s: Fraction, last: bool) -> Iterator[VideoFrame | Packet]:
        """Encodes a piece, for `add`: gives its packets, before them its first picture unless there is a look already.

        May run in a thread of its own.

        Args:
            pictures: with their times in the result.
            end_s: of the piece, in the result; each picture stands until the next one, the last one until then.
            last: whether no other piece follows.
        """
        encoder = None
        for at, until, frame in self._timed(pictures, end_s, last):
            if encoder is None:
                if not self.look.done():   # else it would be kept until this piece's turn
                    yield frame
                encoder = self._encoder(CodecContext.create("libx264", "w"), self.look.result(), self.threads)
            frame.pts, frame.time_base, frame.duration = at, self.tick_s, max(1, until - at)
            with self.writing():
                packets = encoder.encode(frame)
            yield from packets
        if encoder is not None:
            with self.writing():
                packets = encoder.encode(None)
            yield from packets

    def _timed(self, pictures: Frames, end_s: Fraction, last: bool) -> Iterator[tuple[int, int, VideoFrame]]:
        """Pictures with when they are shown and until when, in ticks."""
        end, waiting = round(end_s / self.tick_s), None
        for at_s, frame in pictures:
            at = round(at_s / self.tick_s)
            if (at >= end and not last) or (waiting is not None and at <= waiting[0]):
                continue   # closer to another than time stamps can tell apart
            if waiting is not None:
                yield waiting[0], at, waiting[1]
            waiting = (at, frame)
        if waiting is not None:
            if last:
                waiting[1].pict_type = PictureType.I   # stored last, too: only then readers see its end
            yield waiting[0], end, waiting[1]

    def add(self, item: VideoFrame | Packet) -> None:
        """Writes what `encode` gave, piece by piece.

        The first packet's length is the step between those that are decoded before anything is shown. A longer one
        would be read as the time at which the first picture is shown.
        """
        if isinstance(item, VideoFrame):
            if self.video is None:
                self._begin(item)
            return
        self.times = self.times or before_showing(item.pts, self.video.codec_context.reorder_depth, item.duration)
        item.dts = heappushpop(self.times, item.pts)
        item.stream, self.seen_s = self.video, max(self.seen_s, item.pts * self.tick_s)
        with self.writing():
            self.container.mux(item)

    def _begin(self, frame: VideoFrame) -> None:
        with self.writing():
            self.video = self.container.add_stream("libx264", rate=self.rate)   # encodes nothing itself
            self._encoder(self.video.codec_context, frame, threads=1)
            self.add_other_streams()
            self.container.start_encoding()
        self.look.set_result(frame)

    def _encoder(self, context: CodecContext, look: VideoFrame, threads: int) -> CodecContext:
        context.width, context.height, context.pix_fmt = look.width, look.height, "yuv420p"
        context.options, context.framerate, context.time_base = dict(H264), self.rate, self.tick_s
        context.thread_count, context.thread_type = threads, "FRAME"   # slices would be slower, and larger files
        context.flags |= Flags.frame_duration | Flags.global_header
        for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
            setattr(context, name, getattr(look, name))
        return context

    @property
    def rate(self) -> Fraction:
        return self.info.fps.limit_denominator(100_000)


def tick_s(source: Fraction) -> Fraction:
    """A time base for the result in which the source's time stamps are exact, if it is neither coarse nor too fine."""
    per_s = source.denominator * -(-TICKS[0] // source.denominator)
    return Fraction(1, per_s if per_s <= TICKS[1] else 90_000)


def before_showing(first: int, depth: int, step: int) -> list[int]:
    """The times at which a cut's first `depth` packets are decoded, as a heap.

    Containers want times of decoding that rise, none after its packet is shown, also over the joins of a cut. For
    every packet its time of showing is pushed on the heap, and the smallest one is popped for its time of decoding.
    That is what encoders do: it is when the packet `depth` places earlier, in the order of showing, is shown.

    Args:
        first: when the first picture is shown, in ticks.
        depth: places by which packets are stored out of order.
        step: between the times before the first, in ticks.
    """
    return [first - early * step for early in range(depth, 0, -1)]
