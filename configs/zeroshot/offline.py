# python tools/summarize.py VIDEO --text "..." --out out
# Zero-shot summaries with the default encoders.
_base_ = "../_base_/encoders/offline.py"
