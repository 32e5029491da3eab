# TVSum in the field's h5 schema, with the offline encoders' features, one row a second; five folds. Made by
# tools/build_summarization_h5.py. The last epoch is the result: no epoch is chosen on the fold that is tested.
data_root = "data/tvsum/"
videos = dict(
    type="SummarizationH5", h5_path=data_root + "tvsum40_offline.h5", split_path=data_root + "tvsum40_splits.json",
    features=["features", "features_shared"], text="features_text")
data = dict(
    train=dict(**videos, part="train", loader=dict(batch_size=8, shuffle=True)),
    val=dict(**videos, part="test", loader=dict(batch_size=1)))
del data_root, videos
