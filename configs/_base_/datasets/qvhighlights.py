# QVHighlights (Lei et al., 2021) with the public feature files.
data_root = "data/qvhighlights/"
features = dict(
    type="QVHighlights",
    video_path=[data_root + "slowfast_features", data_root + "clip_features"],
    audio_path=data_root + "pann_features",
    query_path=data_root + "clip_text_features",
    video_dims=[2304, 512])
data = dict(
    train=dict(
        **features,
        label_path=data_root + "highlight_train_release.jsonl",
        loader=dict(batch_size=32, num_workers="auto", shuffle=True)),
    val=dict(
        **features,
        label_path=data_root + "highlight_val_release.jsonl",
        # Without padding, the model predicts the same in a batch as one by one.
        loader=dict(batch_size=32, num_workers="auto", same_length=True)))
del data_root, features
