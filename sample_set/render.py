"""From a script to a video file: frames filmed from the photographs, sound, H.264 and AAC in an mp4."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageFilter

from .scenes import SCENES, load_photo
from .script import Script, Setting, Shot, View, light, view_at, width_range_px
from .sounds import mix

NOISE_SHIFTS = 4096      # the sensor's noise is one long row of draws, read from another place for each frame
NIGHT_CHROMA = (5, -3)   # blue and red difference of darkness itself
BLUR_SHARE = 0.012       # radius of an unfocused picture, in widths of the widest view
BLACK = 16               # of H.264's usual range: luma from 16 to 235, colourless chroma 128


class Camera:
    """Films one shot; any frame can be asked for, in any order, also a little before and after the shot.

    Frames are made as the encoder wants them (4:2:0: luma, then both chroma planes of half the size),
    which spares converting from RGB.
    """

    def __init__(self, shot: Shot, setting: Setting):
        self.shot, self.setting = shot, setting
        photo = load_photo(SCENES[shot.scene].photo)
        if shot.look == "mono":
            photo = photo.convert("L").convert("RGB")
        if shot.look == "blurred":
            _, widest = width_range_px(shot.scene, setting.aspect)
            photo = photo.filter(ImageFilter.GaussianBlur(BLUR_SHARE * widest))
        self.levels = [photo.convert("YCbCr").split()]       # halved again and again: quicker to film from afar
        while self.levels[-1][0].width > 3 * setting.width_px:
            self.levels.append(tuple(plane.reduce(2) for plane in self.levels[-1]))
        tint = NIGHT_CHROMA if shot.look == "dark" else (0, 0)
        self.black = _planes(setting, BLACK, 128 + tint[0], 128 + tint[1])
        self.vignette = np.concatenate([_vignette(setting, shrink).ravel() for shrink in (1, 2, 2)])
        self.noise = np.random.default_rng(shot.seed).normal(
            0, shot.grain, setting.width_px * setting.height_px + NOISE_SHIFTS).astype(np.float32)

    def frame(self, index: int) -> np.ndarray:
        """The frame at an index of the video: uint8 (height * 3 / 2, width), 4:2:0 as PyAV lays it out."""
        setting = self.setting
        luma = setting.width_px * setting.height_px
        picture = self._film(view_at(self.shot, index, setting.fps))
        picture *= self.vignette * np.float32(light(self.shot, np.array(index)))
        picture += self.black
        shift = np.random.default_rng([self.shot.seed, index]).integers(NOISE_SHIFTS)
        picture[:luma] += self.noise[shift:shift + luma]
        return np.clip(np.rint(picture), 0, 255).astype(np.uint8).reshape(-1, setting.width_px)

    def _film(self, view: View) -> np.ndarray:
        """What the camera sees in full light: float32 (pixels,), 0 is black and colourless."""
        width, height = self.setting.width_px, self.setting.height_px
        level = min(len(self.levels) - 1, max(0, math.floor(math.log2(view.width / width))))
        half = np.array([view.width, view.width / self.setting.aspect]) / 2
        middle = np.array([view.x, view.y])
        box = tuple(np.concatenate([middle - half, middle + half]) / 2**level)
        planes = []
        for plane, shrink in zip(self.levels[level], (1, 2, 2), strict=True):
            seen = plane.resize((width // shrink, height // shrink), Image.Resampling.BILINEAR, box=box)
            if self.shot.look == "upside_down":
                seen = seen.transpose(Image.Transpose.ROTATE_180)
            planes.append(np.asarray(seen, dtype=np.float32).ravel())
        planes[0] *= 219 / 255
        planes[1:] = [(plane - 128) * np.float32(224 / 255) for plane in planes[1:]]
        return np.concatenate(planes)


def _planes(setting: Setting, *values: float) -> np.ndarray:
    """One value for each of the three planes of a frame: float32 (pixels,)."""
    luma = setting.width_px * setting.height_px
    return np.repeat(np.array(values, dtype=np.float32), [luma, luma // 4, luma // 4])


def _vignette(setting: Setting, shrink: int) -> np.ndarray:
    """The lens's falling off towards the corners: float32 (height / shrink, width / shrink)."""
    y, x = np.mgrid[-1:1:setting.height_px // shrink * 1j, -1:1:setting.width_px // shrink * 1j]
    return (1 - 0.12 * (x**2 + y**2)).astype(np.float32)


def frames(script: Script, setting: Setting) -> Iterator[np.ndarray]:
    """Every frame of a video as `Camera.frame` gives it, with dissolves and fades at the joins."""
    cameras = [Camera(shot, setting) for shot in script.shots]
    for number, camera in enumerate(cameras):
        shot = camera.shot
        after = cameras[number + 1] if number + 1 < len(cameras) else None
        for index in range(shot.first, shot.last):
            picture = camera.frame(index)
            if index < shot.first + shot.join_frames / 2:
                picture = _join(picture, cameras[number - 1], shot.join, index - shot.first, shot.join_frames, index)
            if after and index >= shot.last - after.shot.join_frames / 2:
                picture = _join(picture, after, after.shot.join, shot.last - 1 - index, after.shot.join_frames, index)
            yield picture


def _join(picture: np.ndarray, other: Camera, join: str, distance: int, join_frames: int, index: int) -> np.ndarray:
    """A frame `distance` frames from a join, blended with the other side's (dissolve) or with black (fade)."""
    share = min(1, 0.5 + (distance + 0.5) / join_frames)     # of this side in a dissolve
    if join == "dissolve":
        return np.rint(share * picture + (1 - share) * other.frame(index)).astype(np.uint8)
    if join == "fade":
        black = _planes(other.setting, BLACK, 128, 128).reshape(picture.shape)
        return np.rint(black + (2 * share - 1) * (picture - black)).astype(np.uint8)
    return picture


def write_video(script: Script, setting: Setting, path: Path) -> None:
    """Renders a script into an mp4, on one thread so that the same script gives the same bytes."""
    track = mix(script.sounds, script.n_frames / setting.fps, setting.rate_hz,
                np.random.default_rng([setting.seed, 5, script.index]))
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=setting.fps, options={"preset": "superfast", "crf": "28"})
        video.width, video.height, video.pix_fmt = setting.width_px, setting.height_px, "yuv420p"
        video.codec_context.thread_count = 1
        audio = container.add_stream("aac", rate=setting.rate_hz, layout="mono", bit_rate=32_000,
                                     options={"aac_coder": "fast"})
        for index, picture in enumerate(frames(script, setting)):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p")))
            if index % setting.fps == 0:                     # a second of sound follows its first picture
                _write_sound(container, audio, track, index // setting.fps, setting.rate_hz)
        container.mux(video.encode())
        container.mux(audio.encode())


def _write_sound(container, audio, track: np.ndarray, second: int, rate_hz: int) -> None:
    start = second * rate_hz
    sound = av.AudioFrame.from_ndarray(track[None, start:start + rate_hz], format="fltp", layout="mono")
    sound.sample_rate, sound.pts, sound.time_base = rate_hz, start, Fraction(1, rate_hz)
    container.mux(audio.encode(sound))
