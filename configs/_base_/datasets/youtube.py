# YouTube Highlights (Sun et al., 2014) with UMT's feature files: I3D of RGB frames and of optical flow, PANNs.
data_root = "data/youtube/"
features = dict(
    type="YouTubeHighlights",
    label_path=data_root + "youtube_anno.json",
    video_path=[data_root + "video_features/{vid}_rgb.npy", data_root + "video_features/{vid}_opt.npy"],
    audio_path=data_root + "audio_features",
    video_dims=[1024, 1024],
    cache=True)
data = dict(
    train=dict(**features, split="train", loader=dict(batch_size=4, shuffle=True)),
    val=dict(**features, split="val", loader=dict(batch_size=1)))
del data_root, features
