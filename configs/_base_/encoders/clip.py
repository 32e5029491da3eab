# OpenAI CLIP for pictures and text, PANNs Cnn14 for sound; weights are fetched at first use.
encoders = dict(
    visual=dict(type="CLIPImage", arch="ViT-B/32"),
    text=dict(type="CLIPText", arch="ViT-B/32"),
    audio=dict(type="Cnn14"))
