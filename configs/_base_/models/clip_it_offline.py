# CLIP-It for the offline encoders: visual features of width 1280 + 384, of which the last 384 are ConSE, and sentence
# embeddings of width 384. It has no transformer over frames, which overfits on 40 videos.
_base_ = "../encoders/offline.py"
model = dict(
    type="CLIPIt", video_dims=1664, text_dims=384, shared=384, dims=8, layers=0, axes=256, members=3,
    propagation=0.75, cache=True)
