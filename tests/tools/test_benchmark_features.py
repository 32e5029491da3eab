"""tools/benchmarks/video.py and features.py: the test video, and the reference features."""

import av
import numpy as np
import pytest

from pipelines.features.encode import encode_video
from pipelines.media.probe import probe
from tests.pipelines.fakes import color_encoders
from tools.benchmarks import video as video_module
from tools.benchmarks.features import mean_cosine, reference_features
from tools.benchmarks.video import decode_all, encode_all, first_frames, make_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Return the path of a small test video of 128 s at 5 frames per second."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("WIDTH", 96), ("HEIGHT", 64), ("FPS", 5)):
            patch.setattr(video_module, name, value)
        folder = tmp_path_factory.mktemp("video")
        return make_video(folder / "video.mp4", 100, make_video(folder / "segment.mp4"))


def test_the_video_consists_of_complete_repetitions_without_gaps(video):
    info = probe(video)
    assert (info.n_frames, info.duration_s, info.fps, info.has_audio) == (640, 128, 5, True)
    with av.open(str(video)) as container:
        frames = [f.to_ndarray(format="gray") for f in container.decode(video=0)]
    assert np.array_equal(frames[7], frames[327])
    assert not np.array_equal(frames[7], frames[8])
    with av.open(str(video)) as container:
        stamps = [p.pts for p in container.demux(audio=0) if p.size]
    assert set(np.diff(stamps)) == {1024}
    assert decode_all(video) == 640


def test_encode_all_encodes_every_decoded_frame(video):
    frames = first_frames(video, 12)
    assert [round(frame.time, 3) for frame in frames] == [i / 5 for i in range(12)]
    assert encode_all(frames) == 12


@pytest.mark.slow
def test_reference_features_equal_the_products(video):
    encoders = color_encoders(with_audio=True)
    reference = reference_features(video, encoders, [2.0 * i + 1 for i in range(64)])
    product = encode_video(video, encoders, progress=False).visual
    np.testing.assert_allclose(reference["color"], product["color"], atol=0.01)
    assert reference["color"].std() > 0.05
    assert mean_cosine(reference, product) > 0.999
    assert mean_cosine(reference, dict(color=np.roll(product["color"], 1, axis=1))) < 0.999
