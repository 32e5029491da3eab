"""Training and evaluation on nncore's Engine: config validation, hooks, checkpoints, baselines, plots."""
