# ./run.sh configs/hotstar/umt_offline_hotstar_highlight_865.py
# Rated clips with features of the offline encoders.
_base_ = [
    "../_base_/encoders/offline.py", "../_base_/models/umt_offline.py",
    "../_base_/datasets/hotstar_highlight_865.py", "../_base_/runtime.py",
]
data_root = "data/hotstar_highlight_865/"
features = dict(
    video_path=[data_root + "efficientnet_lite0", data_root + "conse"],
    audio_path=data_root + "logmel",
    query_path=data_root + "minilm",
    video_dims=[1280, 384])
data = dict(train=dict(**features), val=dict(**features))
window_clips = 75
best_keys = ["AP"]
early_stop = dict(patience=5)
baselines = True
amp = "auto"
stages = dict(
    epochs=20,
    optimizer=dict(type="AdamW", lr=3e-4, weight_decay=1e-2),
    lr_schedule=dict(type="iter", policy="cosine", target_lr=1e-5),
    grad_clip=dict(max_norm=1.0),
    validation=dict(interval=1))
del data_root, features
