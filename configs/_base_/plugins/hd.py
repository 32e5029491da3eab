# Highlight detection alone.
model = dict(pred_head=dict(type="SaliencyHead", dims=[256, 1]))
