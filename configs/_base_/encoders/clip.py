# OpenAI CLIP for frames and text, PANNs Cnn14 for audio. The weights are downloaded at first use.
encoders = dict(
    visual=dict(type="CLIPImage", arch="ViT-B/32"),
    text=dict(type="CLIPText", arch="ViT-B/32"),
    audio=dict(type="Cnn14"))
