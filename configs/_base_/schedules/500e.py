# 500 epochs with Adam, validated after each.
_base_ = "100e.py"
stages = dict(epochs=500)
