# python tools/export_importance_model.py configs/tvsum/clip_it_offline_all.py \
#   --out checkpoints/clip_it_tvsum.safetensors
# The importance model, trained on all 40 videos; the printed metrics are measured on its training data.
_base_ = "clip_it_offline.py"
data = dict(train=dict(part="all"), val=dict(part="all"))
