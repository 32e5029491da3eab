# python tools/summarize.py VIDEO --text "..." --config configs/zeroshot/clip.py --out out
_base_ = "../_base_/encoders/clip.py"
