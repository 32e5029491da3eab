# python tools/launch.py configs/tvsum/clip_it_modelscope.py [--eval --checkpoint pytorch_model.bin]
# ModelScope's CLIP-It, which loads the published checkpoint.
_base_ = "../_base_/encoders/clip.py"   # tools/summarize.py encodes videos and queries with these.
data_root = "data/tvsum/"
videos = dict(
    type="SummarizationH5", h5_path=data_root + "tvsum_modelscope.h5", split_path=data_root + "tvsum_splits.json",
    features="features_clip_image", text="features_clip_txt", target="gtscore")
data = dict(
    train=dict(**videos, part="train", loader=dict(batch_size=1, shuffle=True)),
    val=dict(**videos, part="test", loader=dict(batch_size=1)))
model = dict(type="CLIPItModelScope")
best_keys = ["kendall"]
seed = 1
stages = dict(
    epochs=30, optimizer=dict(type="AdamW", lr=1e-4, weight_decay=1e-2), validation=dict(interval=30))
del data_root, videos
