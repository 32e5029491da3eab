# python tools/ship_head.py configs/tvsum/clip_it_offline_all.py --out checkpoints/clip_it_tvsum.safetensors
# Trained on all 40 videos, so what it prints is a fit and no test.
_base_ = "clip_it_offline.py"
data = dict(train=dict(part="all"), val=dict(part="all"))
