"""The CLIP-It network published by ModelScope, with the parameter names of its checkpoint."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from nncore.nn import MODELS
from torch import Tensor

from models.blocks.position_embedding import sinusoids

LAYER_NORM_EPS = 1e-6


class _Attention(nn.Module):
    """Post-norm multi-head attention without biases (Vaswani et al., NeurIPS 2017)."""

    def __init__(self, dims: int, heads: int, head_dims: int):
        super().__init__()
        self.heads = heads
        self.w_qs, self.w_ks, self.w_vs = (nn.Linear(dims, heads * head_dims, bias=False) for _ in range(3))
        self.fc = nn.Linear(heads * head_dims, dims, bias=False)
        self.layer_norm = nn.LayerNorm(dims, eps=LAYER_NORM_EPS)

    def forward(self, q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend from q (B, Q, C) to k (B, K, C), where `mask` (B, K) is True at valid keys; return (B, Q, C)."""
        allowed = None if mask is None else mask[:, None, None, :]   # (B, K) -> (B, 1, 1, K)
        out = F.scaled_dot_product_attention(
            self._split_heads(self.w_qs(q)), self._split_heads(self.w_ks(k)), self._split_heads(self.w_vs(k)),
            attn_mask=allowed)
        return self.layer_norm(self.fc(out.transpose(1, 2).flatten(2)) + q)   # (B, H, Q, D) -> (B, Q, H * D)

    def _split_heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)   # (B, L, H * D) -> (B, H, L, D)


class _FeedForward(nn.Module):
    """A post-norm feed-forward network."""

    def __init__(self, dims: int, hidden: int):
        super().__init__()
        self.w_1, self.w_2 = nn.Linear(dims, hidden), nn.Linear(hidden, dims)
        self.layer_norm = nn.LayerNorm(dims, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer_norm(self.w_2(F.relu(self.w_1(x))) + x)


class _Layer(nn.Module):
    """A layer of the encoder or decoder; a decoder layer also has cross-attention."""

    def __init__(self, dims: int, hidden: int, heads: int, head_dims: int, is_decoder: bool):
        super().__init__()
        self.slf_attn = _Attention(dims, heads, head_dims)
        if is_decoder:
            self.enc_attn = _Attention(dims, heads, head_dims)
        self.pos_ffn = _FeedForward(dims, hidden)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.pos_ffn(self.slf_attn(x, x, mask))


class _Positions(nn.Module):
    """Sinusoidal position embeddings in a buffer with the name that the checkpoint uses."""

    def __init__(self, dims: int, rows: int):
        super().__init__()
        self.register_buffer("pos_table", sinusoids(rows, dims)[None])


class _Stack(nn.Module):
    """The encoder or the decoder: position embeddings and a stack of layers."""

    def __init__(self, dims: int, hidden: int, heads: int, head_dims: int, layers: int, rows: int, is_decoder: bool):
        super().__init__()
        self.position_enc = _Positions(dims, rows)
        self.layer_stack = nn.ModuleList(_Layer(dims, hidden, heads, head_dims, is_decoder) for _ in range(layers))
        self.layer_norm = nn.LayerNorm(dims, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.layer_norm(x + self.position_enc.pos_table[:, :x.size(1)])
        for layer in self.layer_stack:
            x = layer(x, mask)
        return x


@MODELS.register()
class CLIPItModelScope(nn.Module):
    """CLIP-It (Narasimhan et al., NeurIPS 2021) as published by ModelScope (Apache-2.0).

    The network concatenates seven queries into a single key, so its language-guided attention adds the same vector to
    all frames of a video. The decoder exists only to load the checkpoint; it never runs, because nothing uses its
    output.

    Args:
        dims: width of frame features, query embeddings and hidden layers.
        sentences: number of queries that are concatenated into the key.
        layers: number of layers in each of the encoder and the decoder.
        hidden: hidden width of the feed-forward networks.
        heads: number of attention heads in the encoder and the decoder.
        head_dims: width of an attention head.
        text_heads: number of heads of the language-guided attention.
        positions: maximum number of frames in a window. Longer videos are scored in windows that overlap by half.
        p: dropout rate of the layers that compute the score.

    Attributes:
        accepts_text: True; queries guide the scores.
        requires_text: False; without queries the model predicts importance.
        scores_whole_video: True; one forward pass scores a complete video against any number of queries.
        expects_unit_norm: True; each row of `video` must have unit norm.
        video_dims, text_dims: width of the frame features and of the query embeddings.
    """

    accepts_text, requires_text, scores_whole_video, expects_unit_norm = True, False, True, True

    def __init__(self, dims: int = 512, sentences: int = 7, layers: int = 6, hidden: int = 2048, heads: int = 8,
                 head_dims: int = 256, text_heads: int = 4, positions: int = 4000, p: float = 0.5):
        super().__init__()
        self.sentences, self.positions = sentences, positions
        self.video_dims = self.text_dims = dims
        # The checkpoint contains these three layer norms, which the published network does not apply.
        self.layer_norm_img_src = nn.LayerNorm(dims, eps=LAYER_NORM_EPS)
        self.layer_norm_img_trg = nn.LayerNorm(dims, eps=LAYER_NORM_EPS)
        self.layer_norm_txt = nn.LayerNorm(sentences * dims, eps=LAYER_NORM_EPS)
        self.linear_txt = nn.Linear(sentences * dims, dims)
        self.lg_attention = _Attention(dims, text_heads, head_dims)
        size = (dims, hidden, heads, head_dims, layers, positions)
        self.encoder = _Stack(*size, is_decoder=False)
        self.decoder = _Stack(*size, is_decoder=True)
        self.linear_1, self.linear_2 = nn.Linear(dims, dims), nn.Linear(dims, 1)
        self.drop = nn.Dropout(p)
        self.norm_y, self.norm_linear = nn.LayerNorm(dims, eps=LAYER_NORM_EPS), nn.LayerNorm(dims, eps=LAYER_NORM_EPS)
        for unused in (self.layer_norm_img_src, self.layer_norm_img_trg, self.layer_norm_txt, self.decoder):
            unused.requires_grad_(False)

    def forward(self, data: dict, mode: str) -> dict:
        """Score every frame.

        Args:
            data: `video` (B, T, C), rows of unit norm; `query` (B, N, C), padded with inf, or a concatenated key
                (B, 1, sentences * C), or absent; `saliency` (B, T), -1 at padding.
            mode: `train`, `val`, or `test`, which computes no losses.

        Returns:
            `_avg_factor`, `saliency_loss` (mean squared error), and `_out` with `meta` and `saliency` (B, T) in [0, 1],
            0 at padding.
        """
        video, mask = data["video"], data["saliency"] >= 0
        text = self.linear_txt(self.concatenate_queries(data.get("query"), video))   # (B, 1, C)
        frames = self.lg_attention(video, text)
        starts = range(0, max(1, frames.size(1) - self.positions // 2), max(1, self.positions // 2))
        total, weights = torch.zeros_like(video[..., 0]), torch.zeros_like(video[0, :, 0])
        for start in starts:
            rows = slice(start, start + self.positions)
            total[:, rows] = total[:, rows] + self._score(frames[:, rows], mask[:, rows])
            weights[rows] += 1
        scores = total / weights
        output = dict(_avg_factor=len(video), _out=dict(meta=data.get("meta"),
                                                        saliency=(scores.detach() * mask).float().cpu()))
        if mode != "test":
            error = (scores - data["saliency"].float())**2 * mask
            output["saliency_loss"] = error.sum() / mask.sum().clamp(min=1)
        return output

    def _score(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Score frames: (B, T, C) -> (B, T) in [0, 1]."""
        # If a window contains only padding, attend to all of its rows, because a softmax over no rows would be NaN.
        mask = mask | ~mask.any(dim=1, keepdim=True)
        y = self.norm_y(self.drop(self.encoder(frames, mask)))
        y = self.norm_linear(self.drop(F.relu(self.linear_1(y))))
        return self.linear_2(y).sigmoid().squeeze(-1)

    def concatenate_queries(self, query: Tensor | None, video: Tensor) -> Tensor:
        """Concatenate queries into a key (B, 1, sentences * C), which is zero if there are no queries."""
        B, _, C = video.shape
        if query is None:
            return video.new_zeros(B, 1, self.sentences * C)
        if query.size(-1) == self.sentences * C:
            return query
        return torch.stack([self._select_queries(rows[rows.isfinite().all(dim=-1)]) for rows in query])

    def _select_queries(self, rows: Tensor) -> Tensor:
        """Select `sentences` of N queries (N, C), and concatenate them into a key (1, sentences * C).

        The queries are sorted by descending similarity to their mean and then selected at even spacing, so the key
        does not depend on their original order.
        """
        N, C = rows.shape
        if N == 0:
            return rows.new_zeros(1, self.sentences * C)
        rows = F.normalize(rows, dim=-1)
        similarity = (rows @ rows.mean(dim=0)).double().round(decimals=5)
        order = sorted(range(N), key=lambda i: (-float(similarity[i]), rows[i].tolist()))
        ranks = torch.linspace(0, N - 1, self.sentences).round().long()
        selected = rows[torch.tensor(order, device=rows.device)[ranks.to(rows.device)]]   # (sentences, C)
        return F.normalize(selected.flatten(), dim=0)[None]
