# A cut by what umt_base_200e_hotstar_highlight_865_clip_panns.py trained:
# python tools/summarize.py EPISODE --text "..." --config configs/hotstar/cut_clip_panns.py --checkpoint P --out out
_base_ = ["../_base_/encoders/clip.py", "umt_base_200e_hotstar_highlight_865_clip_panns.py"]
