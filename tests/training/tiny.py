"""A config that trains on the `tiny` dataset within a second."""

CONFIG = """
pos = dict(type="PositionEmbedding", learnable=True, max_len=20)
model = dict(
    type="UMT",
    video_enc=dict(type="UniModalEncoder", dims=[6, 16], p=0.1, pos_cfg=pos, enc_cfg=dict(type="EncoderLayer")),
    query_gen=dict(type="QueryGenerator", dims=[5, 16], enc_cfg=dict(type="Attention")),
    query_dec=dict(type="QueryDecoder", dims=16, pos_cfg=pos, dec_cfg=dict(type="DecoderLayer")),
    pred_head=[dict(type="SaliencyHead", dims=[16, 1]), dict(type="BoundaryHead", dims=[16, 1])])
parts = dict(type="QVHighlights", video_path="{root}/video", query_path="{root}/text", cache=True)
data = dict(train=dict(**parts, label_path="{root}/train.jsonl", loader=dict(batch_size=4, shuffle=True)),
            val=dict(**parts, label_path="{root}/val.jsonl", loader=dict(batch_size=3)))
stages = dict(epochs={epochs}, optimizer=dict(type="Adam", lr=3e-3), validation=dict(interval=1))
best_keys = ["MR-full-mAP"]
seed = 3
del pos, parts
"""


def config(tiny, path, epochs=3, change=lambda text: text):
    """Write the config to a file and return its path; `change` edits the text."""
    path.write_text(change(CONFIG.replace("{root}", str(tiny)).replace("{epochs}", str(epochs))))
    return str(path)
