# ./run.sh configs/hotstar/umt_base_200e_hotstar_highlight_865_clip_panns.py
# Rated clips with CLIP and PANNs features.
_base_ = [
    "../_base_/models/umt_base.py", "../_base_/plugins/mrhd.py", "../_base_/datasets/hotstar_highlight_865.py",
    "../_base_/schedules/200e.py", "../_base_/runtime.py",
]
audio = dict(audio_path="data/hotstar_highlight_865/panns_cnn14")
model = dict(mask_padding=True, video_enc=dict(dims=[512, 256]))
data = dict(train=dict(**audio), val=dict(**audio))
best_keys = ["AP"]
early_stop = dict(patience=20)
baselines = True
del audio
