"""CLIP-It: a score for every frame of a video, guided by any number of sentences."""

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
from models.cpu.fast_dropout import Dropout

from .distributed import world_mean, world_size, world_sum

RELEVANCE_SCALE = 5   # cosines of ConSE points and sentences are a few tenths at most


@MODELS.register()
class CLIPIt(nn.Module):
    """Language-guided attention over frames and a transformer (CLIP-It, Narasimhan et al., NeurIPS 2021).

    Every frame attends to each sentence as a key of its own, and to a key that stands for no sentence, so
    any number of them works and their order is nothing; then frames attend to each other. Beside it a linear
    score of the features, which is most of what can be learned from few videos. Features are centred by
    their video, scaled by one number, and get noise of one deviation in training, which is ridge
    regression's penalty (Bishop, 1995): dropout, which is not, costs a tenth of the correlation on TVSum.

    Args:
        video_dims: width of the frames' features.
        text_dims: width of the sentences'.
        dims: width inside.
        shared: how many of the last columns of the frames lie in the sentences' space, whose cosine is
            a feature too; 0 for none.
        heads: of the attentions; divides `dims`.
        layers: of the transformer over frames.
        p: dropout inside.
        noise: deviation of the noise in each column, in norms (root mean square) of the centred features.
        p_text: how often a video is shown without its sentences in training.
        smooth_s: see `FrameContext`.
        row_s: seconds from a row to the next, where the data does not say.
        window: rows over which frames attend to each other; longer videos in windows that overlap by half.
        members: networks whose standardised scores are averaged, each trained by a loss of its own.
        keep: whether what is computed before the first weight is kept by `vid` in training: for small sets whose
            items never change.
        axes: how many principal axes of the centred features are read, found by `fit_axes` before training; 0 reads
            the features themselves. Adam moves every weight alike, so along axes those of little variance, which
            hold little of what people agree on, count less.
        alike: share of a score that comes from the frames of the video that look alike, each by the inner product
            of their features: label propagation (Zhou et al., NIPS 2003) in one step, since people give one thing
            one score. The loss sees the scores before it; through it, less is learned.

    Attributes:
        accepts_text: True; queries guide the scores.
        requires_text: False; without queries the model predicts importance.
        scores_whole_video: True; one forward pass scores a complete video against any number of queries.
        video_dims, text_dims: as given.
    """

    accepts_text, requires_text, scores_whole_video = True, False, True

    def __init__(self, video_dims: int, text_dims: int, dims: int = 8, shared: int = 0, heads: int = 2, layers: int = 1,
                 p: float = 0.2, noise: float = 0.125, p_text: float = 0.1, smooth_s: float = 5.0, row_s: float = 1.0,
                 window: int = 1024, members: int = 1, keep: bool = False, axes: int = 0, alike: float = 0):
        super().__init__()
        if shared not in (0, text_dims):
            raise ValueError(f"CLIPIt: shared={shared} columns cannot be compared with sentences {text_dims} wide")
        self.video_dims, self.text_dims = video_dims, text_dims
        self.shared, self.p_text, self.row_s, self.alike = shared, p_text, row_s, alike
        self.context = FrameContext(smooth_s)
        self.text_mean = nn.Parameter(torch.zeros(text_dims))
        self.register_buffer("energy", torch.zeros((), dtype=torch.float64))   # summed squares of centred features
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        channels = CHANNELS + bool(shared)
        self.register_buffer("axes", torch.zeros(video_dims, axes))
        video_dims = axes or video_dims
        self.members = nn.ModuleList(
            _Member(video_dims, text_dims, dims, channels, heads, layers, p, noise, window) for _ in range(members))
        self.keep = keep
        self._kept: dict[str, tuple[Tensor, ...]] = {}   # of a training video: what `_described` gives

    def forward(self, data: dict, mode: str) -> dict:
        """Scores every frame.

        Args:
            data: `video` (B, T, V), 0 where padded; `query` (B, N, D) sentences, padded with inf, or absent;
                `saliency` (B, T), -1 where padded: any scale, since the loss is one less Pearson's
                correlation; `row_s` seconds between rows, or absent. Nothing in it is changed.
            mode: `train`, `val`, or `test`, which computes no losses.

        Returns:
            `_avg_factor` (how many videos have a row), `saliency_loss`, `_out` with `meta` and `saliency` (B, T) in
            (0, 1): how a frame stands among its video's, so scores of two videos do not compare; 0 where padded.
        """
        video, mask, query = data["video"], data["saliency"] >= 0, data.get("query")
        sentences, said = self._sentences(query, video)
        features, channels, shared = self._context(data, mask)
        if self.shared:
            channels = torch.cat([channels, self._relevance(shared, sentences, said).unsqueeze(-1)], dim=-1)
        scaled = self._scaled(features, mask)
        items, losses, total = len(video), [], 0
        if mode != "test":
            exists = mask.any(dim=1)
            items = int(exists.sum())   # of several processes one's part of a batch may be empty
            number = max(world_mean(items, mask.device), 1 / world_size())
        for member in self.members:
            scores = standardised(member(scaled, channels, sentences, said, mask), mask)
            total = total + scores.detach() / len(self.members)
            if mode != "test":
                target = standardised(data["saliency"].float(), mask)
                alike = (scores * target).sum(dim=1) / mask.sum(dim=1).clamp(min=1)   # Pearson's correlation, (B,)
                losses.append(((1 - alike) * exists).sum() / number)
        if self.alike:
            total = self._propagated(total, features, mask)
        output = dict(_avg_factor=items, _out=dict(
            meta=data.get("meta"), saliency=(total.sigmoid() * mask).float().cpu()))
        if losses:
            output["saliency_loss"] = torch.stack(losses).mean()
        return output

    @torch.no_grad()
    def fit_axes(self, videos: Iterable[Tensor]) -> None:
        """Finds the principal axes of centred features, each video weighing by its rows.

        Args:
            videos: (T, V) each, those that are trained on.
        """
        scatter = torch.zeros(len(self.axes), len(self.axes), dtype=torch.float64)
        for video in videos:
            rows = (video - video.mean(dim=0)).double()
            scatter += rows.T @ rows
        self.axes.copy_(torch.linalg.eigh(scatter).eigenvectors.flip(-1)[:, :self.axes.size(1)])

    def _context(self, data: dict, mask: Tensor) -> tuple[Tensor, ...]:
        """Features along the axes (B, T, A), channels (B, T, CHANNELS), and the shared columns (B, T, shared)."""
        video, row_s = data["video"], float(data.get("row_s", self.row_s))
        if not (self.training and self.keep):
            return self._described(video, mask, row_s)
        vids = [label["vid"] for label in data["meta"]]
        new = [i for i, vid in enumerate(vids) if vid not in self._kept]
        if new:
            for i, *made in zip(new, *self._described(video[new], mask[new], row_s), strict=True):
                self._kept[vids[i]] = tuple(x[mask[i]].clone() for x in made)
        return tuple(torch.stack([F.pad(x, (0, 0, 0, mask.size(1) - len(x))) for x in parts])
                     for parts in zip(*(self._kept[vid] for vid in vids), strict=True))

    def _described(self, video: Tensor, mask: Tensor, row_s: float) -> tuple[Tensor, ...]:
        features, channels = self.context(video, mask, row_s)
        shared = features[..., features.size(-1) - self.shared:]
        return features @ self.axes if self.axes.size(1) else features, channels, shared

    def _sentences(self, query: Tensor | None, video: Tensor) -> tuple[Tensor, Tensor]:
        """Sentences (B, N, D) of unit norm after centring, 0 where padded, and (B, N) True where one is."""
        if query is None:
            query = video.new_zeros(len(video), 0, len(self.text_mean))
        said = query.isfinite().all(dim=-1)
        if self.training and self.p_text:
            said = said & (torch.rand(len(video), 1, device=video.device) >= self.p_text)
        centred = query.masked_fill(~said.unsqueeze(-1), 0) - self.text_mean
        return F.normalize(centred, dim=-1) * said.unsqueeze(-1), said

    def _relevance(self, shared: Tensor, sentences: Tensor, said: Tensor) -> Tensor:
        """(B, T): each frame's greatest cosine with a sentence, scaled; 0 where nothing is said."""
        cosines = F.normalize(shared, dim=-1) @ sentences.transpose(1, 2)   # (B, T, D) @ (B, D, N)
        if cosines.size(-1) == 0:
            return cosines.sum(dim=-1)
        best = cosines.masked_fill(~said.unsqueeze(1), -torch.inf).amax(dim=-1)
        return RELEVANCE_SCALE * best.masked_fill(~said.any(dim=1, keepdim=True), 0)

    def _propagated(self, scores: Tensor, features: Tensor, mask: Tensor) -> Tensor:
        """(B, T) scores joined with those of frames alike; by (T, A) products, so memory grows with T alone."""
        from_alike = features @ (features.transpose(1, 2) @ scores.unsqueeze(-1))   # (B, T, A) @ (B, A, 1)
        return ((1 - self.alike) * standardised(scores, mask)
                + self.alike * standardised(from_alike.squeeze(-1), mask))

    def _scaled(self, features: Tensor, mask: Tensor) -> Tensor:
        """Divides by the root mean square over all features that training has seen."""
        if self.training:
            with torch.no_grad():
                self.energy += world_sum(features.square().sum())
                self.count += world_sum(mask.sum() * features.size(-1))
        scale = (self.energy / self.count.clamp(min=1)).sqrt().clamp(min=1e-6)
        return features / torch.where(self.count > 0, scale, 1).to(features.dtype)


class _Member(nn.Module):
    def __init__(self, video_dims: int, text_dims: int, dims: int, channels: int, heads: int, layers: int, p: float,
                 noise: float, window: int):
        super().__init__()
        self.noise, self.window = noise * video_dims**0.5, window   # features come with deviation 1 a column
        self.frames, self.channels = nn.Linear(video_dims, dims), nn.Linear(channels, dims)
        self.words, self.silence = nn.Linear(text_dims, dims), nn.Parameter(torch.zeros(dims))
        self.attention = Attention(dims, heads=heads, p=p)
        self.layers = nn.ModuleList(EncoderLayer(dims, heads=heads, ratio=2, p=p) for _ in range(layers))
        self.head = nn.Sequential(nn.LayerNorm(dims), nn.GELU(), Dropout(p), nn.Linear(dims, dims), nn.GELU(),
                                  Dropout(p), nn.Linear(dims, 1))
        self.linear, self.linear_channels = nn.Linear(video_dims, 1), nn.Linear(channels, 1)
        nn.init.zeros_(self.linear.weight)

    def forward(self, frames: Tensor, channels: Tensor, sentences: Tensor, said: Tensor, mask: Tensor) -> Tensor:
        """(B, T, V), (B, T, K), (B, N, D), (B, N), (B, T) -> (B, T) scores on no scale."""
        B = len(frames)
        if self.training and self.noise:
            frames = frames + self.noise * torch.randn_like(frames)
        x = self.frames(frames) + self.channels(channels)
        keys = torch.cat([self.silence.expand(B, 1, -1), self.words(sentences)], dim=1)   # (B, 1 + N, C)
        x = x + self.attention(x, keys, mask=F.pad(said.to(x.dtype), (1, 0), value=1))
        for layer in self.layers:
            x = self._in_windows(layer, x, mask)
        return (self.head(x) + self.linear(frames) + self.linear_channels(channels)).squeeze(-1)

    def _in_windows(self, layer: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
        """A layer over windows half a window apart, weighted towards their middles: memory stays flat."""
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


def standardised(scores: Tensor, mask: Tensor) -> Tensor:
    """(B, T) scores brought to mean 0 and deviation 1 over the frames that exist; 0 where padded."""
    number = mask.sum(dim=1, keepdim=True).clamp(min=1)
    centred = (scores - (scores * mask).sum(dim=1, keepdim=True) / number) * mask
    return centred / (centred.square().sum(dim=1, keepdim=True) / number + 1e-8).sqrt()
