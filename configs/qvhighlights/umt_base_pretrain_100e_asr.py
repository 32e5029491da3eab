# ./run.sh configs/qvhighlights/umt_base_pretrain_100e_asr.py
# Pretraining with subtitles, from automatic speech recognition (ASR), as queries.
_base_ = [
    "../_base_/models/umt_base.py", "../_base_/plugins/mrhd.py", "../_base_/datasets/qvhighlights.py",
    "../_base_/schedules/100e.py", "../_base_/runtime.py",
]
model = dict(pred_head=dict(_update_=0, saliency_loss=dict(loss_weight=0.0)))
data = dict(
    train=dict(
        label_path="data/qvhighlights/subs_train.jsonl",
        query_path="data/qvhighlights/clip_sub_features",
        loader=dict(batch_size=512)))
