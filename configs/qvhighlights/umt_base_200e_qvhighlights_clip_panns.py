# ./run.sh configs/qvhighlights/umt_base_200e_qvhighlights_clip_panns.py
# QVHighlights with the CLIP and PANNs features that tools/extract_features.py --encoders clip extracts.
_base_ = "umt_base_200e_qvhighlights.py"
clip = dict(video_path=["data/qvhighlights/clip_features"], video_dims=[512])
model = dict(mask_padding=True, video_enc=dict(dims=[512, 256]))
data = dict(train=dict(**clip), val=dict(**clip))
del clip
