"""Training and evaluation on nncore's Engine: configs checked, hooks, floors, curves."""
