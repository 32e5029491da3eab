# The sample set that ./run.sh generates, with features of the offline encoders.
data_root = "data/sample/"
features = dict(
    type="QVHighlights",
    video_path=[data_root + "features/efficientnet_lite0", data_root + "features/conse"],
    audio_path=data_root + "features/logmel",
    query_path=data_root + "features/minilm",
    video_dims=[1280, 384],
    cache=True)
data = dict(
    train=dict(
        **features, reorder=True, label_path=data_root + "train.jsonl",
        loader=dict(batch_size=32, shuffle=True)),
    val=dict(**features, label_path=data_root + "val.jsonl", loader=dict(batch_size=32)),
    test=dict(**features, label_path=data_root + "test.jsonl", loader=dict(batch_size=32)))
del data_root, features
