# UMT for the offline encoders: visual features of width 1280 + 384, audio features of width 256, token embeddings of
# width 384. The hidden width is half of the published one.
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
