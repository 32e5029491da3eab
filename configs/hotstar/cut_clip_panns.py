# python tools/summarize.py EPISODE --text "..." --config configs/hotstar/cut_clip_panns.py --checkpoint P --out out
# Summaries by a model that umt_base_200e_hotstar_highlight_865_clip_panns.py trained.
_base_ = ["../_base_/encoders/clip.py", "umt_base_200e_hotstar_highlight_865_clip_panns.py"]
