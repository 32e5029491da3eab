# TVSum (Song et al., 2015) with UMT's feature files: I3D of RGB frames and of optical flow, PANNs, CLIP text.
data_root = "data/tvsum/"
features = dict(
    type="TVSum",
    label_path=data_root + "tvsum_anno.json",
    video_path=[data_root + "video_features/{vid}_rgb.npy", data_root + "video_features/{vid}_opt.npy"],
    audio_path=data_root + "audio_features",
    query_path=data_root + "query_features/{qid}.npz",
    query_key="token",
    video_dims=[1024, 1024],
    cache=True)
data = dict(
    train=dict(**features, split="train", loader=dict(batch_size=1, shuffle=True)),
    val=dict(**features, split="val", loader=dict(batch_size=1)))
del data_root, features
