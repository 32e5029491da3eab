# ./run.sh configs/charades/umt_base_va_100e_charades.py
# Charades-STA with visual and audio features.
_base_ = [
    "../_base_/models/umt_base.py", "../_base_/plugins/mr.py", "../_base_/datasets/charades.py",
    "../_base_/schedules/100e.py", "../_base_/runtime.py",
]
