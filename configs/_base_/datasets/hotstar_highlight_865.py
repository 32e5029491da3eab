# Rated clips of 150 s with CLIP image and text features, in the layout of tools/process_feature_and_label.py.
data_root = "data/hotstar_highlight_865/"
features = dict(
    type="HotstarHighlight865",
    video_path=[data_root + "clip_b32"],
    query_path=data_root + "clip_text_b32",
    video_dims=[512])
data = dict(
    train=dict(
        **features, label_path=data_root + "train.jsonl", loader=dict(batch_size=32, num_workers="auto", shuffle=True)),
    val=dict(**features, label_path=data_root + "val.jsonl", loader=dict(batch_size=32)))
del data_root, features
