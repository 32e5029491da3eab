# ./run.sh configs/qvhighlights/umt_base_200e_qvhighlights.py
# QVHighlights with the public SlowFast, CLIP and PANNs features, as published.
_base_ = [
    "../_base_/models/umt_base.py", "../_base_/plugins/mrhd.py", "../_base_/datasets/qvhighlights.py",
    "../_base_/schedules/200e.py", "../_base_/runtime.py",
]
