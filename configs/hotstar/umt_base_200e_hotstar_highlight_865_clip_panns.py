# With sound: ./run.sh configs/hotstar/umt_base_200e_hotstar_highlight_865_clip_panns.py
_base_ = [
    "../_base_/models/umt_base.py", "../_base_/plugins/mrhd.py", "../_base_/datasets/hotstar_highlight_865.py",
    "../_base_/schedules/200e.py", "../_base_/runtime.py",
]
sound = dict(audio_path="data/hotstar_highlight_865/panns_cnn14")
model = dict(mask_padding=True, video_enc=dict(dims=[512, 256]))
data = dict(train=dict(**sound), val=dict(**sound))
best_keys = ["AP"]
early_stop = dict(patience=20)
floors = True
del sound
