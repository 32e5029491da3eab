"""CLIP-It, which scores every frame of a video and is guided by any number of queries."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn as nn
import torch.nn.functional as F
from nncore.nn import MODELS
from torch import Tensor

from models.blocks.attention import Attention
from models.blocks.encoder_layer import EncoderLayer
from models.blocks.frame_context import CHANNELS, FrameContext
from models.cpu.fast_dropout import FastDropout

from .distributed import world_mean, world_size, world_sum

RELEVANCE_SCALE = 5   # Cosine similarities of ConSE points and queries are at most a few tenths.


@MODELS.register()
class CLIPIt(nn.Module):
    """Language-guided attention over frames and a transformer (CLIP-It, Narasimhan et al., NeurIPS 2021).

    Every frame attends to each query as a separate key, and to one learned key that represents no query, so the model
    accepts any number of queries in any order. Then frames attend to each other. A linear score of the features is
    added, which is most of what can be learned from few videos.

    Features are centered by their video and scaled by one number. Training adds Gaussian noise to them, which acts as
    the penalty of ridge regression (Bishop, 1995). Dropout of the features does not, and costs a tenth of the
    correlation on TVSum.

    Args:
        video_dims: width of the frame features.
        text_dims: width of the query embeddings.
        dims: width of the hidden layers.
        shared: number of last feature columns that are in the space of the queries, whose cosine similarity is an
            additional input; `text_dims`, or 0 for none.
        heads: number of attention heads; divides `dims`.
        layers: number of transformer layers over frames.
        p: dropout rate of the hidden layers.
        noise: standard deviation of the noise in each column, relative to the root mean square norm of the centered
            features.
        p_text: probability of hiding all queries of a video in training.
        smooth_s: see `FrameContext`.
        row_s: seconds between rows, if the data does not specify them.
        window: number of rows that attend to each other. Longer videos are processed in windows that overlap by half.
        members: number of networks in the ensemble. Their standardized scores are averaged; each has its own loss.
        cache: True to cache everything before the first weight by `vid` in training, for small datasets whose items
            never change.
        axes: number of principal components that replace the centered features, found by `fit_axes` before training;
            0 for the features themselves. Adam moves all weights at the same rate, so components of little variance,
            which say little about importance, count less than they would as features.
        propagation: fraction of a score that comes from similar frames of the same video, weighted by the inner product
            of the features. This is one step of label propagation (Zhou et al., NIPS 2003): people rate repeated
            content equally. The loss uses the scores before propagation, because a loss after it learns less.
        keep: deprecated name of `cache`.
        alike: deprecated name of `propagation`.

    Attributes:
        accepts_text: True; queries guide the scores.
        requires_text: False; without queries the model predicts importance.
        scores_whole_video: True; one forward pass scores a complete video against any number of queries.
        video_dims, text_dims: see Args.
    """

    accepts_text, requires_text, scores_whole_video = True, False, True

    def __init__(self, video_dims: int, text_dims: int, dims: int = 8, shared: int = 0, heads: int = 2, layers: int = 1,
                 p: float = 0.2, noise: float = 0.125, p_text: float = 0.1, smooth_s: float = 5.0, row_s: float = 1.0,
                 window: int = 1024, members: int = 1, cache: bool = False, axes: int = 0, propagation: float = 0,
                 keep: bool | None = None, alike: float | None = None):
        super().__init__()
        if shared not in (0, text_dims):
            raise ValueError(f"CLIPIt: shared={shared} columns cannot be compared with queries {text_dims} wide; "
                             f"use 0 or {text_dims}")
        self.video_dims, self.text_dims = video_dims, text_dims
        self.shared, self.p_text, self.row_s = shared, p_text, row_s
        self.cache = cache if keep is None else keep
        self.propagation = propagation if alike is None else alike
        self.context = FrameContext(smooth_s)
        self.text_mean = nn.Parameter(torch.zeros(text_dims))
        # The sum of squares of all centered features that training has seen, and their number.
        self.register_buffer("energy", torch.zeros((), dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("axes", torch.zeros(video_dims, axes))
        self.members = nn.ModuleList(
            _Member(axes or video_dims, text_dims, dims, CHANNELS + bool(shared), heads, layers, p, noise, window)
            for _ in range(members))
        self._cached: dict[str, tuple[Tensor, ...]] = {}   # `vid` -> results of `_describe` without padding.

    def forward(self, data: dict, mode: str) -> dict:
        """Score every frame.

        Args:
            data: `video` (B, T, V), 0 at padding; `query` (B, N, D), padded with inf, or absent; `saliency` (B, T), -1
                at padding, on any scale, because the loss is one minus Pearson's correlation; `row_s`, seconds between
                rows, or absent. The data is not modified.
            mode: `train`, `val`, or `test`, which computes no losses.

        Returns:
            `_avg_factor` (number of videos with valid rows), `saliency_loss`, and `_out` with `meta` and `saliency`
            (B, T) in (0, 1), 0 at padding. A score ranks a frame within its video; scores of different videos are not
            comparable.
        """
        video, mask, query = data["video"], data["saliency"] >= 0, data.get("query")
        queries, is_query = self._center_queries(query, video)
        features, channels, shared = self._describe_cached(data, mask)
        if self.shared:
            relevance = self._relevance(shared, queries, is_query)
            channels = torch.cat([channels, relevance.unsqueeze(-1)], dim=-1)
        scaled = self._scale(features, mask)
        items, losses, total = len(video), [], video.new_zeros(())
        if mode != "test":
            has_rows = mask.any(dim=1)
            items = int(has_rows.sum())   # In distributed training, a process may have no items of a batch.
            mean_items = max(world_mean(items, mask.device), 1 / world_size())
        for member in self.members:
            scores = standardize_scores(member(scaled, channels, queries, is_query, mask), mask)
            total = total + scores.detach() / len(self.members)
            if mode != "test":
                target = standardize_scores(data["saliency"].float(), mask)
                correlation = (scores * target).sum(dim=1) / mask.sum(dim=1).clamp(min=1)   # (B,)
                losses.append(((1 - correlation) * has_rows).sum() / mean_items)
        if self.propagation:
            total = self._propagate(total, features, mask)
        output = dict(_avg_factor=items, _out=dict(
            meta=data.get("meta"), saliency=(total.sigmoid() * mask).float().cpu()))
        if losses:
            output["saliency_loss"] = torch.stack(losses).mean()
        return output

    @torch.no_grad()
    def fit_axes(self, videos: Iterable[Tensor]) -> None:
        """Compute the principal components of the centered features; each video is weighted by its number of rows.

        Args:
            videos: (T, V) each, the training videos.
        """
        scatter = torch.zeros(len(self.axes), len(self.axes), dtype=torch.float64)
        for video in videos:
            rows = (video - video.mean(dim=0)).double()
            scatter += rows.T @ rows
        self.axes.copy_(torch.linalg.eigh(scatter).eigenvectors.flip(-1)[:, :self.axes.size(1)])

    def _describe_cached(self, data: dict, mask: Tensor) -> tuple[Tensor, ...]:
        """Return `_describe` of a batch, which training computes once per `vid` if `cache` is set."""
        video, row_s = data["video"], float(data.get("row_s", self.row_s))
        if not (self.training and self.cache):
            return self._describe(video, mask, row_s)
        vids = [label["vid"] for label in data["meta"]]
        new = [i for i, vid in enumerate(vids) if vid not in self._cached]
        if new:
            for i, *parts in zip(new, *self._describe(video[new], mask[new], row_s), strict=True):
                self._cached[vids[i]] = tuple(x[mask[i]].clone() for x in parts)
        return tuple(torch.stack([F.pad(x, (0, 0, 0, mask.size(1) - len(x))) for x in parts])
                     for parts in zip(*(self._cached[vid] for vid in vids), strict=True))

    def _describe(self, video: Tensor, mask: Tensor, row_s: float) -> tuple[Tensor, ...]:
        """Return features or their principal components (B, T, A), channels (B, T, CHANNELS), and shared columns."""
        features, channels = self.context(video, mask, row_s)
        shared = features[..., features.size(-1) - self.shared:]
        return features @ self.axes if self.axes.size(1) else features, channels, shared

    def _center_queries(self, query: Tensor | None, video: Tensor) -> tuple[Tensor, Tensor]:
        """Return centered queries of unit norm (B, N, D), 0 at padding, and a mask (B, N), True at queries."""
        if query is None:
            query = video.new_zeros(len(video), 0, len(self.text_mean))
        is_query = query.isfinite().all(dim=-1)
        if self.training and self.p_text:
            is_query = is_query & (torch.rand(len(video), 1, device=video.device) >= self.p_text)
        centered = query.masked_fill(~is_query.unsqueeze(-1), 0) - self.text_mean
        return F.normalize(centered, dim=-1) * is_query.unsqueeze(-1), is_query

    def _relevance(self, shared: Tensor, queries: Tensor, is_query: Tensor) -> Tensor:
        """Return the scaled maximum cosine similarity (B, T) of each frame with any query; 0 without queries."""
        cosines = F.normalize(shared, dim=-1) @ queries.transpose(1, 2)   # (B, T, D) @ (B, D, N)
        if cosines.size(-1) == 0:
            return cosines.sum(dim=-1)
        best = cosines.masked_fill(~is_query.unsqueeze(1), -torch.inf).amax(dim=-1)
        return RELEVANCE_SCALE * best.masked_fill(~is_query.any(dim=1, keepdim=True), 0)

    def _propagate(self, scores: Tensor, features: Tensor, mask: Tensor) -> Tensor:
        """Return scores (B, T) mixed with those of similar frames.

        The product is computed from right to left, so memory grows with T instead of T^2.
        """
        propagated = features @ (features.transpose(1, 2) @ scores.unsqueeze(-1))   # (B, T, A) @ (B, A, 1)
        return ((1 - self.propagation) * standardize_scores(scores, mask)
                + self.propagation * standardize_scores(propagated.squeeze(-1), mask))

    def _scale(self, features: Tensor, mask: Tensor) -> Tensor:
        """Divide features by the root mean square of all features that training has seen."""
        if self.training:
            with torch.no_grad():
                self.energy += world_sum(features.square().sum())
                self.count += world_sum(mask.sum() * features.size(-1))
        scale = (self.energy / self.count.clamp(min=1)).sqrt().clamp(min=1e-6)
        return features / torch.where(self.count > 0, scale, 1).to(features.dtype)


class _Member(nn.Module):
    """One network of the ensemble; see `CLIPIt` for its arguments.

    Checkpoints determine the attribute names: `words` projects the queries, and `silence` is the key of no query.
    """

    def __init__(self, video_dims: int, text_dims: int, dims: int, channels: int, heads: int, layers: int, p: float,
                 noise: float, window: int):
        super().__init__()
        self.noise, self.window = noise * video_dims**0.5, window   # Scaled features have a mean square of 1.
        self.frames, self.channels = nn.Linear(video_dims, dims), nn.Linear(channels, dims)
        self.words, self.silence = nn.Linear(text_dims, dims), nn.Parameter(torch.zeros(dims))
        self.attention = Attention(dims, heads=heads, p=p)
        self.layers = nn.ModuleList(EncoderLayer(dims, heads=heads, ratio=2, p=p) for _ in range(layers))
        self.head = nn.Sequential(nn.LayerNorm(dims), nn.GELU(), FastDropout(p), nn.Linear(dims, dims), nn.GELU(),
                                  FastDropout(p), nn.Linear(dims, 1))
        self.linear, self.linear_channels = nn.Linear(video_dims, 1), nn.Linear(channels, 1)
        nn.init.zeros_(self.linear.weight)

    def forward(self, frames: Tensor, channels: Tensor, queries: Tensor, is_query: Tensor, mask: Tensor) -> Tensor:
        """Return scores (B, T) on an arbitrary scale.

        Args:
            frames: (B, T, V) scaled features.
            channels: (B, T, K), see `FrameContext`.
            queries: (B, N, D), 0 at padding.
            is_query: (B, N) bool, False at padding.
            mask: (B, T) bool, True at valid frames.
        """
        B = len(frames)
        if self.training and self.noise:
            frames = frames + self.noise * torch.randn_like(frames)
        x = self.frames(frames) + self.channels(channels)
        keys = torch.cat([self.silence.expand(B, 1, -1), self.words(queries)], dim=1)   # (B, 1 + N, C)
        x = x + self.attention(x, keys, mask=F.pad(is_query.to(x.dtype), (1, 0), value=1))
        for layer in self.layers:
            x = self._apply_in_windows(layer, x, mask)
        return (self.head(x) + self.linear(frames) + self.linear_channels(channels)).squeeze(-1)

    def _apply_in_windows(self, layer: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
        """Apply a layer to overlapping windows and average them with triangular weights, in linear memory."""
        T, size = x.size(1), self.window
        if size >= T:
            return layer(x, mask=mask)
        starts = [*range(0, T - size, max(1, size // 2)), T - size]
        row = torch.arange(size, device=x.device, dtype=x.dtype)
        weight = torch.minimum(row + 1, size - row).unsqueeze(-1)
        total, weights = torch.zeros_like(x), x.new_zeros(T, 1)
        for start in starts:
            rows = slice(start, start + size)
            total[:, rows] += weight * layer(x[:, rows], mask=mask[:, rows])
            weights[rows] += weight
        return total / weights


def standardize_scores(scores: Tensor, mask: Tensor) -> Tensor:
    """Return scores (B, T) with mean 0 and standard deviation 1 over the valid frames, 0 at padding."""
    number = mask.sum(dim=1, keepdim=True).clamp(min=1)
    centered = (scores - (scores * mask).sum(dim=1, keepdim=True) / number) * mask
    return centered / (centered.square().sum(dim=1, keepdim=True) / number + 1e-8).sqrt()
