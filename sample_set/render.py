"""Render a script: frames from photographs and synthetic audio, as H.264 and AAC in an mp4 file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageFilter

from .audio_events import mix
from .scenes import SCENES, load_photo
from .script import Script, Setting, Shot, View, light, view_at, width_range_px

NOISE_SHIFTS = 4096      # Sensor noise is drawn once per shot; each frame reads it from another offset.
NIGHT_CHROMA = (5, -3)   # Offsets of Cb and Cr in dark shots.
BLUR_SHARE = 0.012       # Radius of the blur of unfocused shots, relative to the width of the widest view.
BLACK = 16               # Luma of black in the limited range: luma from 16 to 235, neutral chroma 128.


class Camera:
    """A renderer of the frames of one shot, in any order; transitions also read frames before and after the shot.

    Frames are rendered in the format of the encoder (4:2:0: luma, then both chroma planes of half the size), which
    avoids a conversion from RGB.
    """

    def __init__(self, shot: Shot, setting: Setting):
        self.shot, self.setting = shot, setting
        photo = load_photo(SCENES[shot.scene].photo)
        if shot.style == "mono":
            photo = photo.convert("L").convert("RGB")
        if shot.style == "blurred":
            _, widest = width_range_px(shot.scene, setting.aspect)
            photo = photo.filter(ImageFilter.GaussianBlur(BLUR_SHARE * widest))
        self.levels = [photo.convert("YCbCr").split()]       # An image pyramid makes wide views faster.
        while self.levels[-1][0].width > 3 * setting.width_px:
            self.levels.append(tuple(plane.reduce(2) for plane in self.levels[-1]))
        tint = NIGHT_CHROMA if shot.style == "dark" else (0, 0)
        self.black = _planes(setting, BLACK, 128 + tint[0], 128 + tint[1])
        self.vignette = np.concatenate([_vignette(setting, shrink).ravel() for shrink in (1, 2, 2)])
        self.noise = np.random.default_rng(shot.seed).normal(
            0, shot.grain, setting.width_px * setting.height_px + NOISE_SHIFTS).astype(np.float32)

    def frame(self, index: int) -> np.ndarray:
        """Return the frame with an index of the video: uint8 (height * 3 / 2, width), 4:2:0 in the layout of PyAV."""
        setting = self.setting
        luma = setting.width_px * setting.height_px
        frame = self._film(view_at(self.shot, index, setting.fps))
        frame *= self.vignette * np.float32(light(self.shot, np.array(index)))
        frame += self.black
        shift = np.random.default_rng([self.shot.seed, index]).integers(NOISE_SHIFTS)
        frame[:luma] += self.noise[shift:shift + luma]
        return np.clip(np.rint(frame), 0, 255).astype(np.uint8).reshape(-1, setting.width_px)

    def _film(self, view: View) -> np.ndarray:
        """Return a view in full light: float32 (pixels,), 0 is black and neutral."""
        width, height = self.setting.width_px, self.setting.height_px
        level = min(len(self.levels) - 1, max(0, math.floor(math.log2(view.width / width))))
        half = np.array([view.width, view.width / self.setting.aspect]) / 2
        middle = np.array([view.x, view.y])
        box = tuple(np.concatenate([middle - half, middle + half]) / 2**level)
        planes = []
        for plane, shrink in zip(self.levels[level], (1, 2, 2), strict=True):
            seen = plane.resize((width // shrink, height // shrink), Image.Resampling.BILINEAR, box=box)
            if self.shot.style == "upside_down":
                seen = seen.transpose(Image.Transpose.ROTATE_180)
            planes.append(np.asarray(seen, dtype=np.float32).ravel())
        planes[0] *= 219 / 255
        planes[1:] = [(plane - 128) * np.float32(224 / 255) for plane in planes[1:]]
        return np.concatenate(planes)


def _planes(setting: Setting, *values: float) -> np.ndarray:
    """Return a frame with one value per plane: float32 (pixels,)."""
    luma = setting.width_px * setting.height_px
    return np.repeat(np.array(values, dtype=np.float32), [luma, luma // 4, luma // 4])


def _vignette(setting: Setting, shrink: int) -> np.ndarray:
    """Return the brightness factor of the lens, lower in the corners: float32 (height / shrink, width / shrink)."""
    y, x = np.mgrid[-1:1:setting.height_px // shrink * 1j, -1:1:setting.width_px // shrink * 1j]
    return (1 - 0.12 * (x**2 + y**2)).astype(np.float32)


def frames(script: Script, setting: Setting) -> Iterator[np.ndarray]:
    """Yield every frame of a video in the format of `Camera.frame`, with dissolves and fades between shots."""
    cameras = [Camera(shot, setting) for shot in script.shots]
    for number, camera in enumerate(cameras):
        shot = camera.shot
        after = cameras[number + 1] if number + 1 < len(cameras) else None
        for index in range(shot.first, shot.last):
            frame = camera.frame(index)
            if index < shot.first + shot.join_frames / 2:
                frame = _join(frame, cameras[number - 1], shot.join, index - shot.first, shot.join_frames, index)
            if after and index >= shot.last - after.shot.join_frames / 2:
                frame = _join(frame, after, after.shot.join, shot.last - 1 - index, after.shot.join_frames, index)
            yield frame


def _join(frame: np.ndarray, other: Camera, join: str, distance: int, join_frames: int, index: int) -> np.ndarray:
    """Return a frame `distance` frames from a transition, blended with the other shot (dissolve) or black (fade)."""
    share = min(1, 0.5 + (distance + 0.5) / join_frames)     # The weight of this shot in a dissolve.
    if join == "dissolve":
        return np.rint(share * frame + (1 - share) * other.frame(index)).astype(np.uint8)
    if join == "fade":
        black = _planes(other.setting, BLACK, 128, 128).reshape(frame.shape)
        return np.rint(black + (2 * share - 1) * (frame - black)).astype(np.uint8)
    return frame


def write_video(script: Script, setting: Setting, path: Path) -> None:
    """Render a script into an mp4 file, with one encoder thread, so that equal scripts give equal bytes."""
    track = mix(script.audio_events, script.n_frames / setting.fps, setting.rate_hz,
                np.random.default_rng([setting.seed, 5, script.index]))
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=setting.fps, options={"preset": "superfast", "crf": "28"})
        video.width, video.height, video.pix_fmt = setting.width_px, setting.height_px, "yuv420p"
        video.codec_context.thread_count = 1
        audio = container.add_stream("aac", rate=setting.rate_hz, layout="mono", bit_rate=32_000,
                                     options={"aac_coder": "fast"})
        for index, frame in enumerate(frames(script, setting)):
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="yuv420p")))
            if index % setting.fps == 0:                     # Each second of audio follows its first frame.
                _write_audio(container, audio, track, index // setting.fps, setting.rate_hz)
        container.mux(video.encode())
        container.mux(audio.encode())


def _write_audio(container, stream, track: np.ndarray, second: int, rate_hz: int) -> None:
    start = second * rate_hz
    samples = av.AudioFrame.from_ndarray(track[None, start:start + rate_hz], format="fltp", layout="mono")
    samples.sample_rate, samples.pts, samples.time_base = rate_hz, start, Fraction(1, rate_hz)
    container.mux(stream.encode(samples))
