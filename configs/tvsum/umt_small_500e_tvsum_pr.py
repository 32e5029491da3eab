# ./run.sh configs/tvsum/umt_small_500e_tvsum_pr.py
_base_ = [
    "../_base_/models/umt_small.py", "../_base_/plugins/hd.py", "../_base_/datasets/tvsum.py",
    "../_base_/schedules/500e.py", "../_base_/runtime.py",
]
data = dict(train=dict(domain="PR"), val=dict(domain="PR"))
