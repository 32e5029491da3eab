# ./run.sh configs/tvsum/umt_small_500e_tvsum_bt.py
_base_ = [
    "../_base_/models/umt_small.py", "../_base_/plugins/hd.py", "../_base_/datasets/tvsum.py",
    "../_base_/schedules/500e.py", "../_base_/runtime.py",
]
data = dict(train=dict(domain="BT"), val=dict(domain="BT"))
