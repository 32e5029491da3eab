# python tools/launch.py configs/sample/clip_it_sample.py --work-dir work_dirs/clip_it_sample
# CLIP-It for moment retrieval on the sample set that ./run.sh generates. To measure its query sensitivity:
# python tools/measure_query_sensitivity.py data/sample/test.jsonl --videos data/sample/videos \
#   --config configs/sample/clip_it_sample.py --checkpoint work_dirs/clip_it_sample/best.pth
_base_ = [
    "../_base_/encoders/offline.py", "../_base_/models/clip_it_offline.py", "../_base_/datasets/sample_sentences.py",
    "../_base_/runtime.py",
]
# The model is wider than for TVSum, because its attention must learn which frames a sentence describes. `propagation`
# is 0, because clips of other moments look similar too. `cache` is off, because training reorders segments of a
# video.
model = dict(dims=128, axes=0, members=1, propagation=0, heads=4, layers=1, row_s=2.0, smooth_s=3.0, noise=0.1,
             cache=False)
best_keys = ["HL-min-VeryGood-mAP"]
stages = dict(
    epochs=30,
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=1e-2),
    lr_schedule=dict(type="iter", policy="cosine", target_lr=1e-5),
    warmup=dict(type="iter", policy="linear", steps=20, ratio=0.01),
    grad_clip=dict(max_norm=1.0),
    validation=dict(interval=5))
