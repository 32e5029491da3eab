# UMT for the embedded encoders: 1280 + 384 wide pictures, 256 wide sound, 384 wide words; half as wide inside.
pos_cfg = dict(type="PositionEmbedding", learnable=True, max_len=500)
model = dict(
    type="UMT",
    video_enc=dict(
        type="UniModalEncoder", dims=[1664, 128], standardize=True, noise=0.5,
        pos_cfg=pos_cfg, enc_cfg=dict(type="EncoderLayer")),
    audio_enc=dict(
        type="UniModalEncoder", dims=[256, 128], standardize=True, noise=0.5,
        pos_cfg=pos_cfg, enc_cfg=dict(type="EncoderLayer")),
    cross_enc=dict(type="CrossModalEncoder", dims=128, pos_cfg=pos_cfg, enc_cfg=dict(type="BottleneckTransformer")),
    query_gen=dict(type="QueryGenerator", dims=[384, 128], enc_cfg=dict(type="Attention")),
    query_dec=dict(type="QueryDecoder", dims=128, pos_cfg=pos_cfg, dec_cfg=[dict(type="DecoderLayer")] * 2),
    pred_head=[
        dict(type="SaliencyHead", dims=[128, 1], saliency_loss=dict(type="DynamicBCELoss", loss_weight=3.0)),
        dict(type="BoundaryHead", dims=[128, 1], context_cfg=dict(type="TemporalContext")),
    ])
del pos_cfg
