# Charades-STA (Gao et al., 2017) with UMT's feature files: VGG at six rows per second, and GloVe word vectors.
data_root = "data/charades/"
features = dict(
    type="CharadesSTA",
    video_path=data_root + "rgb_features/{vid}.npy",
    audio_path=data_root + "audio_features",
    glove_path="data/glove/glove.6B.300d.txt",
    video_dims=4096)
data = dict(
    train=dict(
        **features, label_path=data_root + "charades_sta_train.txt",
        loader=dict(batch_size=8, num_workers="auto", shuffle=True)),
    val=dict(
        **features, label_path=data_root + "charades_sta_test.txt",
        loader=dict(batch_size=1, num_workers="auto")))
del data_root, features
