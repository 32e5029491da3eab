# ./run.sh configs/hotstar/umt_base_200e_hotstar_highlight_865.py
# Rated clips with CLIP features, without audio.
_base_ = [
    "../_base_/models/umt_base.py", "../_base_/plugins/mrhd.py", "../_base_/datasets/hotstar_highlight_865.py",
    "../_base_/schedules/200e.py", "../_base_/runtime.py",
]
model = dict(
    mask_padding=True,
    video_enc=dict(dims=[512, 256]),
    audio_enc=None,
    cross_enc=None)
best_keys = ["AP"]
early_stop = dict(patience=20)
baselines = True
