# python tools/cross_validate.py configs/tvsum/clip_it_pool5.py --seeds 1 2 3
# TVSum in the h5 file that most papers use: GoogLeNet pool5 features of width 1024 at two rows per second, and only the
# mean of the annotators. It has no sentences, so the model learns none. The folds are DSNet's; 16 videos are in no test
# fold. For SumMe's file of the same format: --set data.{train,val}.h5_path=... and data.val.f1=max.
_base_ = "clip_it_offline.py"
model = dict(video_dims=1024, shared=0, row_s=0.5)
videos = dict(
    h5_path="data/tvsum/eccv16_dataset_tvsum_google_pool5.h5", split_path="data/tvsum/tvsum.yml", features="features",
    text=None)
data = dict(train=videos, val=videos)
del videos
