_base_ = "100e.py"
stages = dict(epochs=500)
