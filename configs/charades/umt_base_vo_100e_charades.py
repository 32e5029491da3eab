# ./run.sh configs/charades/umt_base_vo_100e_charades.py
# Charades-STA with visual and optical flow features; optical flow takes the place of audio.
_base_ = [
    "../_base_/models/umt_base.py", "../_base_/plugins/mr.py", "../_base_/datasets/charades.py",
    "../_base_/schedules/100e.py", "../_base_/runtime.py",
]
flow = "data/charades/opt_features"
model = dict(audio_enc=dict(dims=[4096, 256]))
data = dict(train=dict(audio_path=flow), val=dict(audio_path=flow))
del flow
