# python tools/summarize.py VIDEO --text "..." --config configs/zeroshot/clip.py --out out
# Zero-shot summaries with CLIP and PANNs.
_base_ = "../_base_/encoders/clip.py"
