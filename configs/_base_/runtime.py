# The first of these metrics that a validation computes selects the best epoch.
best_keys = ["MR-full-mAP", "HL-min-VeryGood-mAP", "mAP"]
seed = 1
