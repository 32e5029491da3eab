# python tools/summarize.py VIDEO --text "..." --out out
_base_ = "../_base_/encoders/offline.py"
