# SumMe in the field's h5 schema, with the offline encoders' features, one row a clip of 2 s, made with its folds by
# tools/build_summarization_h5.py. People kept frames and gave no scores, so their mean is learned; the nearest counts.
data_root = "data/summe/"
videos = dict(
    type="SummarizationH5", h5_path=data_root + "summe.h5", split_path=data_root + "splits.json",
    features=["features", "features_shared"], text="features_text", target="gtscore", f1="max")
data = dict(
    train=dict(**videos, part="train", loader=dict(batch_size=8, shuffle=True)),
    val=dict(**videos, part="test", loader=dict(batch_size=1)))
del data_root, videos
