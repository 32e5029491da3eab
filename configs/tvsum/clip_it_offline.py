# python tools/cross_validate.py configs/tvsum/clip_it_offline.py --seeds 1 2 3
# CLIP-It on TVSum with features of the offline encoders.
_base_ = ["../_base_/models/clip_it_offline.py", "../_base_/datasets/tvsum_summaries.py"]
best_keys = ["kendall"]
seed = 1
hooks = [dict(type="PrincipalAxesHook")]
stages = dict(
    epochs=60,
    optimizer=dict(type="AdamW", lr=3e-3, weight_decay=1e-2),
    lr_schedule=dict(type="iter", policy="cosine", target_lr=1e-6),
    warmup=dict(type="iter", policy="linear", steps=24, ratio=0.01),
    grad_clip=dict(max_norm=1.0),
    validation=dict(interval=60))
