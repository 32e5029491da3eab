# ./run.sh configs/qvhighlights/umt_base_200e_qvhighlights_clip.py
# QVHighlights with the CLIP features that tools/extract_features.py --encoders clip extracts, without audio.
_base_ = "umt_base_200e_qvhighlights.py"
clip = dict(video_path=["data/qvhighlights/clip_features"], audio_path=None, video_dims=[512])
model = dict(
    mask_padding=True,
    video_enc=dict(dims=[512, 256]),
    audio_enc=None,
    cross_enc=None)
data = dict(train=dict(**clip), val=dict(**clip))
del clip
