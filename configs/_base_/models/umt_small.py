# UMT with one decoder layer, as published: learned position embeddings, padding masked in the encoders only.
pos_cfg = dict(type="PositionEmbedding", learnable=True)
model = dict(
    type="UMT",
    mask_padding=False,
    video_enc=dict(
        type="UniModalEncoder",
        dims=[2048, 256],
        pos_cfg=pos_cfg,
        enc_cfg=dict(type="EncoderLayer")),
    audio_enc=dict(
        type="UniModalEncoder",
        dims=[2048, 256],
        pos_cfg=pos_cfg,
        enc_cfg=dict(type="EncoderLayer")),
    cross_enc=dict(
        type="CrossModalEncoder",
        dims=256,
        pos_cfg=pos_cfg,
        enc_cfg=dict(type="BottleneckTransformer")),
    query_gen=dict(
        type="QueryGenerator",
        dims=[512, 256],
        enc_cfg=dict(type="Attention")),
    query_dec=dict(
        type="QueryDecoder",
        dims=256,
        pos_cfg=pos_cfg,
        dec_cfg=dict(type="DecoderLayer")))
del pos_cfg
