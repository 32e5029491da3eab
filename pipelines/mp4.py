"""Writing an mp4: pictures, sound, subtitles and chapters, each at its time."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.codec.context import Flags
from av.packet import Packet
from av.subtitles.stream import SubtitleStream
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from common.errors import InputError

from .media import no_pictures, open_video, sound_stream
from .probe import VideoInfo
from .subtitles import Cue

AAC_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
AAC_BITS_PER_S = dict(mono=128_000, stereo=192_000)
H264 = dict(preset="superfast", crf="22")   # as good as veryfast at 20 in two thirds of the time, a quarter larger
TICKS = (10_000, 1_000_000)        # a second in the result has at least and at most so many
MS = Fraction(1, 1000)             # subtitles and chapters are timed to it
KEPT_METADATA = ("title", "artist", "date", "creation_time", "copyright", "comment", "description")
NO_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}   # errors of the disk
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


class Mp4:
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

    def __enter__(self) -> Mp4:
        with open_video(self.info.path) as (source, pictures):
            self.tick_s = tick_s(pictures.time_base)
            kept = {key: value for key, value in source.metadata.items() if key in KEPT_METADATA}
            stream = sound_stream(source)
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
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", self.layout)
        frame.sample_rate, frame.pts, frame.time_base = self.rate_hz, self.heard, Fraction(1, self.rate_hz)
        with self.writing():
            self.container.mux(self.audio.encode(frame))
        self.heard += samples.shape[1]

    def end_sound(self) -> None:
        """Writes what the encoder of the sound still holds."""
        if self.rate_hz:
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
            if getattr(err, "errno", None) in NO_PLACE:
                raise InputError(f"{self.out}: could not be written ({reason}); make room on the disk or name "
                                 "another place") from err
            raise InputError(f"{self.info.path}: its cut could not be written ({reason}); {self.hint}") from err


class EncodedMp4(Mp4):
    """Pictures are encoded anew, by H.264."""

    waiting: tuple[int, VideoFrame] | None = None

    def show(self, frame: VideoFrame, at_s: Fraction) -> None:
        """Adds a picture, which stands until the next one or the end."""
        if self.video is None:
            self._add_pictures(frame)
        at = round(at_s / self.tick_s)
        if self.waiting is not None:
            if at <= self.waiting[0]:
                return   # closer than time stamps can tell apart
            self._encode(at)
        self.waiting = (at, frame)

    def finish(self, end_s: Fraction) -> None:
        """Ends the last picture at a time and writes what the encoders still hold."""
        if self.waiting is None:
            raise no_pictures(self.info.path)
        self.waiting[1].pict_type = PictureType.I   # what is shown last is stored last: only then readers see its end
        self._encode(round(end_s / self.tick_s))
        with self.writing():
            self.container.mux(self.video.encode(None))
            self.end_sound()

    def _add_pictures(self, frame: VideoFrame) -> None:
        with self.writing():
            rate = self.info.fps.limit_denominator(100_000)
            self.video = self.container.add_stream("libx264", rate=rate, options=H264)
            self.video.width, self.video.height, self.video.pix_fmt = frame.width, frame.height, "yuv420p"
            self.video.codec_context.time_base = self.tick_s
            self.video.codec_context.flags |= Flags.frame_duration
            for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
                setattr(self.video.codec_context, name, getattr(frame, name))
            self.add_other_streams()

    def _encode(self, until: int) -> None:
        at, frame = self.waiting
        frame.pts, frame.time_base, frame.duration = at, self.tick_s, max(1, until - at)
        with self.writing():
            self.container.mux(self.video.encode(frame))


def tick_s(source: Fraction) -> Fraction:
    """A time base for the result in which the source's time stamps are exact, if it is neither coarse nor too fine."""
    per_s = source.denominator * -(-TICKS[0] // source.denominator)
    return Fraction(1, per_s if per_s <= TICKS[1] else 90_000)
