# python tools/cross_validate.py configs/summe/clip_it_offline.py --seeds 1 2 3
# SumMe, one row a clip of 2 s, made with its folds by tools/build_summarization_h5.py. People kept frames and gave no
# scores, so the mean of what they kept is learned; F1 is with the nearest of them.
_base_ = "../tvsum/clip_it_offline.py"
model = dict(row_s=2.0)
labels = dict(h5_path="data/summe/summe.h5", split_path="data/summe/splits.json", target="gtscore", f1="max")
data = dict(train=labels, val=labels)
del labels
