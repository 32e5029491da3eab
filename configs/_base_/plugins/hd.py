# Highlight detection only.
model = dict(pred_head=dict(type="SaliencyHead", dims=[256, 1]))
