"""Write MP4 files: video, audio, subtitles and chapters, interleaved by time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from fractions import Fraction
from heapq import heappushpop
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.codec.context import CodecContext, Flags
from av.packet import Packet
from av.subtitles.stream import SubtitleStream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from common.errors import InputError, disk_error
from pipelines.media.container import audio_stream, open_video
from pipelines.media.frames import Frames, no_frames_error
from pipelines.media.probe import VideoInfo
from pipelines.media.subtitles import Cue

AAC_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
AAC_BITS_PER_S = dict(mono=128_000, stereo=192_000)
# The quality of preset veryfast at crf 20 in two thirds of the time; files are a quarter larger.
H264_OPTIONS = dict(preset="superfast", crf="22")
MIN_TICKS_PER_S = 10_000           # Coarsest time base of the result.
MAX_TICKS_PER_S = 1_000_000        # Finest time base of the result.
MPEG_TICKS_PER_S = 90_000          # Time base of the result if the source's time base is too fine.
MS = Fraction(1, 1000)             # Time base of subtitles and chapters.
KEPT_METADATA = ("title", "artist", "date", "creation_time", "copyright", "comment", "description")
MAX_CUE_BYTES = 65_535             # A text sample stores its length in 16 bits.
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

Writer = TypeVar("Writer", bound="Mp4Writer")
Chapter = tuple[Fraction, Fraction, str]   # [start, end) in seconds of the result, and the title.


class Mp4Writer:
    """A writer of one MP4 file; subclasses add the video stream.

    Errors of the disk name the output file; all other errors name the video.

    Args:
        temporary: the file to write.
        out: the final path of the file, for messages.
        info: properties of the source video.
        chapters: ascending and disjoint.
        cues: subtitles in the time of the result, in ascending order of start; they become a subtitle stream.

    Attributes:
        error: class of the error if the video cannot be written.
        hint: remedy in that case.
        rate_hz: sampling rate of the audio stream; 0 for none.
        layout: channel layout of the audio stream, "mono" or "stereo".
        time_base: seconds per tick of the video stream.
        video: the video stream, None until it has been added.
    """

    error: type[InputError] = InputError
    hint = "convert it to H.264 first"

    def __init__(self, temporary: Path, out: Path, info: VideoInfo, chapters: Sequence[Chapter] = (),
                 cues: Sequence[Cue] = ()):
        self.temporary, self.out, self.info = temporary, out, info
        self.chapters, self.cues = chapters, cues
        self.rate_hz, self.layout, self.n_samples = 0, "mono", 0
        self.video: VideoStream | None = None

    def __enter__(self: Writer) -> Writer:
        with open_video(self.info.path) as (source, source_video):
            self.time_base = choose_time_base(source_video.time_base)
            metadata = {key: value for key, value in source.metadata.items() if key in KEPT_METADATA}
            source_audio = audio_stream(source)
            if source_audio is not None:
                context = source_audio.codec_context
                self.rate_hz = min((r for r in AAC_RATES_HZ if r >= context.sample_rate), default=AAC_RATES_HZ[-1])
                self.layout = "mono" if context.channels == 1 else "stereo"
        with self.translating_errors():
            self.container = av.open(str(self.temporary), "w", format="mp4", options=dict(movflags="+faststart"))
            self.container.metadata.update(metadata)
            self.container.set_chapters([
                dict(id=number, start=round(start_s / MS), end=round(end_s / MS), time_base=MS,
                     metadata=dict(title=title))
                for number, (start_s, end_s, title) in enumerate(self.chapters, 1)])
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            with self.translating_errors():
                self.container.close()
            return
        with suppress(av.error.FFmpegError, OSError):   # The error that ended the block is the one to report.
            self.container.close()

    @property
    def audio_end_s(self) -> Fraction:
        """The end of the audio that has been added, in seconds."""
        return Fraction(self.n_samples, self.rate_hz) if self.rate_hz else Fraction(0)

    def add_audio(self, samples: np.ndarray) -> None:
        """Append samples (channels, n) to the audio."""
        if not samples.size:   # A piece may be shorter than one sample.
            return
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", self.layout)
        frame.sample_rate, frame.pts, frame.time_base = self.rate_hz, self.n_samples, Fraction(1, self.rate_hz)
        with self.translating_errors():
            self.container.mux(self.audio.encode(frame))
        self.n_samples += samples.shape[1]

    def add_audio_until(self, time_s: Fraction, blocks: Iterator[np.ndarray]) -> None:
        """Append blocks of samples until the audio reaches a time, so that neither stream is buffered for the other."""
        while self.audio_end_s < time_s and (samples := next(blocks, None)) is not None:
            self.add_audio(samples)

    def finish(self) -> None:
        """Flush the audio encoder.

        Raises:
            InputError: no video frame has been added.
        """
        if self.video is None:
            raise no_frames_error(self.info.path)
        if self.rate_hz:
            with self.translating_errors():
                self.container.mux(self.audio.encode(None))

    def add_other_streams(self) -> None:
        """Add the audio and subtitle streams, after the video stream."""
        if self.rate_hz:
            self.audio = self.container.add_stream("aac", rate=self.rate_hz, layout=self.layout)
            self.audio.bit_rate = AAC_BITS_PER_S[self.layout]
        if self.cues:
            subtitles = self.container.add_stream("mov_text")
            subtitles.codec_context.subtitle_header = SUBTITLE_STYLE
            subtitles.time_base = subtitles.codec_context.time_base = MS
            self.container.start_encoding()
            # All cues can be added first because the muxer sorts packets by time.
            self.container.mux([self._subtitle_packet(cue, subtitles) for cue in self.cues])

    def _subtitle_packet(self, cue: Cue, stream: SubtitleStream) -> Packet:
        """Return a text sample: its length in 16 bits, then UTF-8 (3GPP TS 26.245, 5.17)."""
        text = cue.text.encode("utf-8", "replace")[:MAX_CUE_BYTES].decode("utf-8", "ignore").encode()
        packet = Packet(len(text).to_bytes(2, "big") + text)
        packet.pts = packet.dts = round(Fraction(cue.start_s) / MS)
        packet.duration, packet.time_base, packet.stream = round(Fraction(cue.end_s) / MS) - packet.pts, MS, stream
        return packet

    @contextmanager
    def translating_errors(self) -> Iterator[None]:
        """Raise errors of FFmpeg and the system as `InputError`."""
        try:
            yield
        except (av.error.FFmpegError, OSError, ValueError) as err:
            reason = getattr(err, "strerror", None) or err
            of_disk = disk_error(err, self.out)
            if of_disk is not None:
                raise of_disk from err
            raise self.error(self.info.path, f"its cut could not be written ({reason})", self.hint) from err


class EncodingMp4Writer(Mp4Writer):
    """A writer that encodes the video as H.264.

    Every piece has its own encoder, so that several pieces can be encoded at the same time.

    Attributes:
        first_frame: the first frame, which determines the size and the color tags of all pieces; set by `add`, and
            awaited by `encode`.
        threads: number of threads of each encoder; 0 lets the encoder choose.
        video_s: presentation time of the last frame added, in seconds of the result.
    """

    def __init__(self, temporary: Path, out: Path, info: VideoInfo, chapters: Sequence[Chapter] = (),
                 cues: Sequence[Cue] = ()):
        super().__init__(temporary, out, info, chapters, cues)
        self.first_frame: Future[VideoFrame] = Future()
        self.threads = 0
        self.video_s = Fraction(0)
        self._decoding_times: list[int] = []   # A heap, see `initial_decoding_times`.

    def encode(self, frames: Frames, end_s: Fraction, last: bool) -> Iterator[VideoFrame | Packet]:
        """Encode a piece: yield its packets for `add`, which must receive the pieces in order.

        If no first frame is set yet, the first frame of the piece comes before the packets. May run in any thread.

        Args:
            frames: frames of the piece, with their times in the result.
            end_s: end of the piece in the result. Each frame is shown until the next one, the last one until `end_s`.
            last: True for the last piece.
        """
        encoder = None
        for start, end, frame in self._with_ticks(frames, end_s, last):
            if encoder is None:
                if not self.first_frame.done():   # Otherwise the frame would be buffered until this piece is written.
                    yield frame
                encoder = self._configure(CodecContext.create("libx264", "w"), self.first_frame.result(), self.threads)
            frame.pts, frame.time_base, frame.duration = start, self.time_base, max(1, end - start)
            with self.translating_errors():
                packets = encoder.encode(frame)
            yield from packets
        if encoder is not None:
            with self.translating_errors():
                packets = encoder.encode(None)
            yield from packets

    def _with_ticks(self, frames: Frames, end_s: Fraction, last: bool) -> Iterator[tuple[int, int, VideoFrame]]:
        """Yield the frames with the start and end of their presentation, in ticks."""
        end, pending = round(end_s / self.time_base), None
        for time_s, frame in frames:
            start = round(time_s / self.time_base)
            if (start >= end and not last) or (pending is not None and start <= pending[0]):
                continue   # Two frames would have the same time stamp.
            if pending is not None:
                yield pending[0], start, pending[1]
            pending = (start, frame)
        if pending is not None:
            if last:
                # Readers take the end of the video from the packet stored last, which a B-frame would not be.
                pending[1].pict_type = PictureType.I
            yield pending[0], end, pending[1]

    def add(self, item: VideoFrame | Packet) -> None:
        """Mux an item that `encode` has yielded, in the order of the pieces."""
        if isinstance(item, VideoFrame):
            if self.video is None:
                self._add_video_stream(item)
            return
        assert self.video is not None   # The first frame comes before the packets.
        if not self._decoding_times:
            # Longer steps than a frame would be interpreted as a delay of the first frame.
            depth = self.video.codec_context.reorder_depth
            self._decoding_times = initial_decoding_times(item.pts, depth, item.duration)
        item.dts = heappushpop(self._decoding_times, item.pts)
        item.stream, self.video_s = self.video, max(self.video_s, item.pts * self.time_base)
        with self.translating_errors():
            self.container.mux(item)

    def _add_video_stream(self, frame: VideoFrame) -> None:
        with self.translating_errors():
            # The encoder of the stream only provides the parameters; the pieces have their own encoders.
            self.video = self.container.add_stream("libx264", rate=self.rate)
            self._configure(self.video.codec_context, frame, threads=1)
            self.add_other_streams()
            self.container.start_encoding()
        self.first_frame.set_result(frame)

    def _configure(self, context: VideoCodecContext, frame: VideoFrame, threads: int) -> VideoCodecContext:
        """Set the parameters of an encoder; size and color tags are those of the frame."""
        context.width, context.height, context.pix_fmt = frame.width, frame.height, "yuv420p"
        context.options, context.framerate, context.time_base = dict(H264_OPTIONS), self.rate, self.time_base
        context.thread_count, context.thread_type = threads, "FRAME"   # Slices would be slower and enlarge the file.
        context.flags |= Flags.frame_duration | Flags.global_header
        for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
            setattr(context, name, getattr(frame, name))
        return context

    @property
    def rate(self) -> Fraction:
        """The average frame rate."""
        return self.info.fps.limit_denominator(100_000)


def choose_time_base(source: Fraction) -> Fraction:
    """Return a time base for the result, in which the source's time stamps are exact unless its ticks are too fine."""
    ticks_per_s = source.denominator * -(-MIN_TICKS_PER_S // source.denominator)   # The next multiple of the source's.
    return Fraction(1, ticks_per_s if ticks_per_s <= MAX_TICKS_PER_S else MPEG_TICKS_PER_S)


def initial_decoding_times(first_pts: int, depth: int, step: int) -> list[int]:
    """Return the decoding times of the first `depth` packets of a cut, as a heap.

    Containers require that decoding time stamps (DTS) ascend and do not exceed the presentation time stamps (PTS),
    also across the joins of a cut. To generate them like encoders do, push each packet's PTS to the heap, and pop the
    least entry as its DTS: the PTS of the packet that is `depth` positions earlier in presentation order.

    Args:
        first_pts: presentation time of the first frame, in ticks.
        depth: maximum number of positions by which the stored order differs from the presentation order.
        step: ticks between the decoding times before the first frame.
    """
    return [first_pts - early * step for early in range(depth, 0, -1)]
