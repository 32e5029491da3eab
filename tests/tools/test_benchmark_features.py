import av
import numpy as np
import pytest

from pipelines.features.encode import encode_video
from pipelines.media.probe import probe
from tests.pipelines.fakes import color_encoders
from tools.benchmarks import film as filming
from tools.benchmarks.features import likeness, plain_way
from tools.benchmarks.film import decode_all, encode_all, first_pictures, make_film


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """128 s, small and at 5 pictures a second."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("WIDTH", 96), ("HEIGHT", 64), ("FPS", 5)):
            patch.setattr(filming, name, value)
        folder = tmp_path_factory.mktemp("film")
        return make_film(folder / "film.mp4", 100, make_film(folder / "piece.mp4"))


def test_the_film_is_whole_repetitions_without_a_gap(film):
    info = probe(film)
    assert (info.n_frames, info.duration_s, info.fps, info.has_audio) == (640, 128, 5, True)
    with av.open(str(film)) as container:
        frames = [f.to_ndarray(format="gray") for f in container.decode(video=0)]
    assert np.array_equal(frames[7], frames[327]) and not np.array_equal(frames[7], frames[8])
    with av.open(str(film)) as container:
        stamps = [p.pts for p in container.demux(audio=0) if p.size]
    assert set(np.diff(stamps)) == {1024}
    assert decode_all(film) == 640


def test_the_encoder_alone_gets_every_picture_decoded(film):
    pictures = first_pictures(film, 12)
    assert [round(picture.time, 3) for picture in pictures] == [i / 5 for i in range(12)]
    assert encode_all(pictures) == 12


def test_the_plain_way_gives_our_features(film):
    encoders = color_encoders(with_audio=True)
    plain = plain_way(film, encoders, [2.0 * i + 1 for i in range(64)])
    ours = encode_video(film, encoders, progress=False).visual
    np.testing.assert_allclose(plain["color"], ours["color"], atol=0.01)
    assert plain["color"].std() > 0.05 and likeness(plain, ours) > 0.999
    assert likeness(plain, dict(color=np.roll(ours["color"], 1, axis=1))) < 0.999
