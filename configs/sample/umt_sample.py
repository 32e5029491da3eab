# ./run.sh configs/sample/umt_sample.py --work-dir work_dirs/sample
# UMT on the sample set; ./run.sh without arguments generates the set first.
_base_ = [
    "../_base_/encoders/offline.py", "../_base_/models/umt_offline.py", "../_base_/datasets/sample.py",
    "../_base_/runtime.py",
]
window_clips = 75
baselines = True
amp = "auto"
stages = dict(
    epochs=18,
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=1e-2, fused=True),
    lr_schedule=dict(type="iter", policy="cosine", target_lr=1e-5),
    warmup=dict(type="iter", policy="linear", steps=50, ratio=0.01),
    grad_clip=dict(max_norm=1.0),
    validation=dict(interval=2))
