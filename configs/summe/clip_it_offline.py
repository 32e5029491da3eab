# python tools/cross_validate.py configs/summe/clip_it_offline.py --seeds 1 2 3
# SumMe with its folds from tools/build_summarization_h5.py, at one row per clip of 2 s. The annotators selected frames
# and gave no scores, so the model learns the mean of their selections. F1 is the maximum over annotators.
_base_ = "../tvsum/clip_it_offline.py"
model = dict(row_s=2.0)
labels = dict(h5_path="data/summe/summe.h5", split_path="data/summe/splits.json", target="gtscore", f1="max")
data = dict(train=labels, val=labels)
del labels
