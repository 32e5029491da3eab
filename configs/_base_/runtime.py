# What is watched: the first key present in a validation's metrics decides which checkpoint is best.
best_keys = ["MR-full-mAP", "HL-min-VeryGood-mAP", "mAP"]
seed = 1
