# The embedded default: real pretrained parts that pip installs, no download.
encoders = dict(
    visual=dict(type="EfficientNetConSE"),
    text=dict(type="MiniLMText"),
    audio=dict(type="LogMelStatistics"))
