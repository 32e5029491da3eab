# TVSum in the h5 schema of video summarization, from tools/build_summarization_h5.py: features of the offline encoders
# at one row per second, and five folds. The last epoch is the result, so that no epoch is selected on the test fold.
data_root = "data/tvsum/"
videos = dict(
    type="SummarizationH5", h5_path=data_root + "tvsum40_offline.h5", split_path=data_root + "tvsum40_splits.json",
    features=["features", "features_shared"], text="features_text")
data = dict(
    train=dict(**videos, part="train", loader=dict(batch_size=8, shuffle=True)),
    val=dict(**videos, part="test", loader=dict(batch_size=1)))
del data_root, videos
