# CLIP-It for the embedded encoders: 1280 + 384 wide pictures, of which the last 384 are ConSE, 384 wide sentences.
# Without a transformer over frames: on 40 videos it costs more by what it learns by heart than it gains.
_base_ = "../encoders/offline.py"
model = dict(
    type="CLIPIt", video_dims=1664, text_dims=384, shared=384, dims=8, layers=0, axes=256, members=3, alike=0.75,
    keep=True)
