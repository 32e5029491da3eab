# ./run.sh configs/tvsum/clip_it_offline_all.py: on all 40 videos; what it prints is a fit, no test
_base_ = "clip_it_offline.py"
data = dict(train=dict(part="all"), val=dict(part="all"))
model = dict(members=3)
