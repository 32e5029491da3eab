"""Exact kernel temporal segmentation (KTS) by Lagrangian relaxation.

The textbook algorithm fills a table of T x T x max_change_points entries. This one runs penalized segmentations, whose
time grows nearly linearly with T, and fills a table only for the few segments that they cannot rule out. On two hours
of video it takes 1.5 s where `ruptures` takes 12 s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

BLOCK_SIZE = 128       # Number of segment ends whose costs are computed together.
CHUNK_SIZE = 512       # Number of rows or segment starts per matrix operation, so that its operands fit the CPU cache.
CACHE_BYTES = 6e7      # Size of the cached segment costs, which later passes reuse.
PRUNE_INTERVAL = 16    # Number of segment ends between two prunings of the segment starts.
MAX_PASSES = 16        # Maximum number of penalized segmentations before the table decides.
ROUNDING = 1e-9        # Relative rounding error of a scatter, as a share of the rows' sum of squares.
MAX_OPEN_GAP = 0.5     # The table is small once all gaps are below this share of the penalty per change point.


class Scatter:
    """Sums of squared distances of segments to their means, computed from cumulative sums.

    Let S[i] be the sum of the first i rows, after the overall mean has been subtracted. The scatter of rows [i, j) is
    their sum of squares minus |S[j] - S[i]|^2 / (j - i), so one matrix product yields the scatters of many segments.

    Args:
        rows: (T, C) floating; computations use float64.

    Attributes:
        squares: (T + 1,) sum of squares of the rows before each index.
        error: bound of the rounding error of a complete segmentation's scatter.
    """

    def __init__(self, rows: np.ndarray):
        self.T, C = rows.shape
        mean = rows.mean(axis=0, dtype=np.float64)
        self._sums = np.zeros((self.T + 1, C))
        row_squares = np.empty(self.T)
        for begin in range(0, self.T, CHUNK_SIZE):
            chunk = rows[begin:begin + CHUNK_SIZE] - mean
            np.cumsum(chunk, axis=0, out=self._sums[begin + 1:begin + 1 + len(chunk)])
            self._sums[begin + 1:begin + 1 + len(chunk)] += self._sums[begin]
            row_squares[begin:begin + CHUNK_SIZE] = np.einsum("tc,tc->t", chunk, chunk)
        self._norms = np.einsum("tc,tc->t", self._sums, self._sums)
        self.squares = np.concatenate([[0], np.cumsum(row_squares)])
        self.error = ROUNDING * float(self.squares[-1])
        self._cache: dict[int, tuple[int, np.ndarray]] = {}
        self._cached_bytes = 0

    def exact(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Return the (N,) float64 scatters of the segments [starts, ends)."""
        norms = np.empty(len(starts))
        for n in range(0, len(starts), CHUNK_SIZE):
            chunk = slice(n, n + CHUNK_SIZE)
            sums = self._sums[ends[chunk]] - self._sums[starts[chunk]]
            norms[chunk] = np.einsum("nc,nc->n", sums, sums)
        return self.squares[ends] - self.squares[starts] - norms / (ends - starts)

    def block(self, begin: int, first: int) -> tuple[int, np.ndarray]:
        """Return the scatters of the segments that end at `begin + 1` to `begin + BLOCK_SIZE`.

        Args:
            begin: the first row of the block.
            first: the first segment start that is needed.

        Returns:
            The segment start of the first column, at most `first`; and the scatters (ends, starts), inf for empty
            segments.
        """
        cached = self._cache.get(begin)
        if cached is not None and cached[0] <= first:
            return cached
        computed = first, self._compute(begin, first)
        if cached is not None:
            self._cached_bytes -= cached[1].nbytes
        if self._cached_bytes + computed[1].nbytes <= CACHE_BYTES:
            self._cache[begin] = computed
            self._cached_bytes += computed[1].nbytes
        else:
            self._cache.pop(begin, None)
        return computed

    def _compute(self, begin: int, first: int) -> np.ndarray:
        end = min(begin + BLOCK_SIZE, self.T)
        ends, scatters = np.arange(begin + 1, end + 1)[:, None], np.empty((end - begin, end - first))
        end_sums, norms, squares = self._sums[begin + 1:end + 1], self._norms[ends], self.squares[ends]
        for i in range(first, end, CHUNK_SIZE):
            starts = np.arange(i, min(i + CHUNK_SIZE, end))
            # |a - b|^2 = |a|^2 + |b|^2 - 2 ab, computed in place because these arrays are large.
            chunk = end_sums @ self._sums[starts[0]:starts[-1] + 1].T   # (ends, C) @ (C, starts) -> (ends, starts)
            chunk *= 2
            chunk -= norms
            chunk -= self._norms[starts]
            chunk /= np.maximum(ends - starts, 1)
            chunk += squares
            chunk -= self.squares[starts]
            scatters[:, i - first:i - first + len(starts)] = chunk
        empty = np.arange(begin, end) >= ends
        scatters[:, begin - first:][empty] = np.inf
        return scatters


def best_change_points(rows: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Return the change points that minimize the scatter plus a penalty on their number, exactly.

    With a constant penalty `lam` per change point, one pass over the segment ends finds the optimum; starts that can
    never be part of it again are pruned (PELT: Killick et al., JASA 2012). By Lagrangian duality, its value bounds the
    scatter with m change points from below by a linear function of m. The bounds of several `lam` rule out most
    numbers of change points. For the remaining numbers, the same bounds rule out the segments that no better solution
    can contain, and dynamic programming over the few other segments decides.

    Args:
        rows: (T, C) floating; computations use float64.
        penalty: (limit + 1,) penalty of 0, 1, ..., limit change points, concave.

    Returns:
        (M,) ascending rows where a new segment starts, M <= limit.
    """
    search = _Search(Scatter(rows), penalty)
    search.tighten_bounds()
    return search.solve()


class _Search:
    """The state of the search: the best known segmentation, and a set of lower bounds, per number of change points."""

    def __init__(self, scatter: Scatter, penalty: np.ndarray):
        self.scatter, self.penalty = scatter, penalty
        self.T, self.limit = scatter.T, len(penalty) - 1
        self.known: dict[int, tuple[float, np.ndarray]] = {}   # Number of change points -> scatter, change points.
        self.bounds: dict[float, float] = {}                   # lam -> minimum of scatter + lam * number.
        self.add(np.empty(0, dtype=np.int64))
        self.add(np.arange(1, self.T), 0.0)

    def add(self, points: np.ndarray, cost: float | None = None) -> None:
        """Keep a segmentation if it is the best known one with its number of change points.

        Args:
            points: change points of the segmentation.
            cost: scatter of the segmentation; None to compute it.
        """
        if cost is None:
            starts, ends = np.concatenate([[0], points]), np.concatenate([points, [self.T]])
            cost = float(self.scatter.exact(starts, ends).sum())
        if len(points) not in self.known or cost < self.known[len(points)][0]:
            self.known[len(points)] = cost, points

    def best(self) -> tuple[float, int]:
        """Return the least known scatter plus penalty, and its number of change points."""
        return min((cost + self.penalty[m], m) for m, (cost, _) in self.known.items() if m <= self.limit)

    def gaps(self, lam: float) -> np.ndarray:
        """Return the (limit + 1,) gaps between the best known solution and the lower bound of `lam`."""
        m = np.arange(self.limit + 1)
        return self.best()[0] - self.penalty - (self.bounds[lam] - self.scatter.error - lam * m)

    def open_numbers(self) -> np.ndarray:
        """Return the numbers of change points whose optimum may be as good as the best known solution."""
        gaps = np.min([self.gaps(lam) for lam in self.bounds], axis=0)
        return np.flatnonzero(gaps >= 0)

    def tighten_bounds(self) -> None:
        """Run penalized segmentations until their bounds are close to the best known solution."""
        lam = max(float(self.penalty[-1] - self.penalty[-2]), 1e-9) if self.limit else 1.0
        for _ in range(MAX_PASSES):
            least, points, _ = penalized_segmentation(self.scatter, lam)
            self.bounds[lam] = least
            self.add(points, least - lam * len(points) if len(points) > self.limit else None)
            if len(points) > self.limit:
                self._merge_neighbors()
            gaps = np.min([self.gaps(tried) for tried in self.bounds], axis=0)
            if gaps.max() < MAX_OPEN_GAP * lam + self.scatter.error:
                return
            lam = self._next_lam(int(gaps.argmax()))
            if lam in self.bounds or lam <= 0:
                return

    def _next_lam(self, m: int) -> float:
        """Return a `lam` whose lower bound may rule out m change points."""
        hull: list[int] = []   # The lower convex hull of the known scatters.
        for k in sorted(self.known):
            while len(hull) > 1 and self._slope(hull[-2], hull[-1]) <= self._slope(hull[-1], k):
                hull.pop()
            hull.append(k)
        after = max(1, next(i for i, k in enumerate(hull) if k >= m or i == len(hull) - 1))
        chord, best_m = self._slope(hull[after - 1], hull[after]), self.best()[1]
        if m >= best_m:
            return chord
        return min(chord, float(self.penalty[best_m] - self.penalty[m] + 2 * self.scatter.error) / (best_m - m))

    def _slope(self, few: int, many: int) -> float:
        return (self.known[few][0] - self.known[many][0]) / (many - few)

    def _merge_neighbors(self) -> None:
        """Combine the change points of the two known solutions around the limit into solutions up to the limit."""
        below, above = max(m for m in self.known if m <= self.limit), min(m for m in self.known if m > self.limit)
        candidates = np.union1d(self.known[below][1], self.known[above][1])
        if len(candidates) > 4 * self.limit + 8:
            return
        nodes = np.concatenate([[0], candidates, [self.T]])
        ends, starts = np.tril_indices(len(nodes), -1)   # Ends 1, 2, 2, 3, 3, 3, ... and starts 0, 0, 1, 0, 1, 2, ...
        costs, by_end = self.scatter.exact(nodes[starts], nodes[ends]), np.flatnonzero(np.diff(ends)) + 1
        segments = zip(np.split(starts, by_end), np.split(costs, by_end), strict=True)
        for points in best_per_number(segments, len(candidates) + 1, self.limit):
            self.add(nodes[points])

    def _is_optimal(self, m: int) -> bool:
        """Return True if the known solution with m change points is optimal up to rounding."""
        bound = max(least - lam * m for lam, least in self.bounds.items())
        return m in self.known and self.known[m][0] <= bound + self.scatter.error

    def solve(self) -> np.ndarray:
        """Return the optimal change points, by dynamic programming over the segments that are not ruled out."""
        numbers = self.open_numbers()
        if any(not self._is_optimal(m) for m in numbers):
            lam = min(self.bounds, key=lambda tried: self.gaps(tried)[numbers].max())
            slack = float(self.gaps(lam)[numbers].max()) + 2 * self.scatter.error
            _, _, starts_by_end = penalized_segmentation(self.scatter, lam, slack)
            for points in best_per_number(self._with_costs(starts_by_end), self.T, int(numbers[-1])):
                if len(points) in numbers:
                    self.add(points)
        known = sorted((m, cost) for m, (cost, _) in self.known.items() if m <= self.limit)
        values = np.array([cost + self.penalty[m] for m, cost in known])
        return self.known[known[int(values.argmin())][0]][1]

    def _with_costs(self, starts_by_end: list[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield, for each end 1..T, its segment starts and the scatters of these segments."""
        for begin in range(0, self.T, BLOCK_SIZE):
            block_starts = starts_by_end[begin:begin + BLOCK_SIZE]
            column, costs = self.scatter.block(begin, int(min(starts[0] for starts in block_starts)))
            for r, starts in enumerate(block_starts):
                yield starts, costs[r, starts - column]


def penalized_segmentation(scatter: Scatter, lam: float,
                           slack: float | None = None) -> tuple[float, np.ndarray, list[np.ndarray]]:
    """Find the best segmentation with a penalty per change point (Jackson et al., 2005), with PELT's pruning.

    Args:
        scatter: costs of the segments.
        lam: penalty per change point.
        slack: the maximum loss against the best start of an end for a start to be listed; None lists no starts.

    Returns:
        The least scatter plus penalty; its change points; and for each end 1..T the ascending starts within the slack.
    """
    T, tolerance = scatter.T, slack or 0.0
    least, last_start = np.zeros(T + 1), np.zeros(T + 1, dtype=np.int64)
    least[0] = -lam
    starts_by_end: list[np.ndarray] = []
    first = 0   # Starts before it have been pruned.
    for begin in range(0, T, BLOCK_SIZE):
        column, costs = scatter.block(begin, first)
        for r in range(min(BLOCK_SIZE, T - begin)):
            j = begin + r + 1
            total = least[first:j] + costs[r, first - column:j - column]
            k = int(total.argmin())
            last_start[j], least[j] = first + k, total[k] + lam
            if slack is not None:
                starts_by_end.append((first + np.flatnonzero(total <= total[k] + tolerance)).astype(np.int32))
            if j % PRUNE_INTERVAL == 0:
                first += int((total <= least[j] + tolerance).argmax())
    points = []
    j = int(last_start[T])
    while j > 0:
        points.append(j)
        j = int(last_start[j])
    return float(least[T]), np.array(points[::-1], dtype=np.int64), starts_by_end


def best_per_number(segments: Iterable[tuple[np.ndarray, np.ndarray]], T: int, limit: int) -> list[np.ndarray]:
    """Return the best change points for each number of change points up to the limit, by dynamic programming.

    Args:
        segments: for each end 1..T, the ascending rows at which its segment may start, and the costs of these segments.
        T: number of rows.
        limit: the maximum number of change points.

    Returns:
        Arrays of change points, one for each number that the segments allow.
    """
    best = np.full((limit + 1, T + 1), np.inf)   # [m, j]: cost of rows [0, j) with m change points.
    last_start = np.zeros((limit + 1, T + 1), dtype=np.int32)
    counts = np.arange(limit)
    for j, (rows, cost) in enumerate(segments, start=1):
        first, last = int(rows[0]), int(rows[-1])
        columns = slice(first, last + 1) if last - first + 1 == len(rows) else rows   # A slice avoids a copy.
        total = best[:-1, columns] + cost   # (limit, starts), with one more change point each.
        if limit:
            k = total.argmin(axis=1)
            best[1:, j], last_start[1:, j] = total[counts, k], rows[k]
        if first == 0:
            best[0, j] = cost[0]
    found = []
    for m in np.flatnonzero(np.isfinite(best[:, T])):
        points, j = [], T
        for remaining in range(m, 0, -1):
            j = int(last_start[remaining, j])
            points.append(j)
        found.append(np.array(points[::-1], dtype=np.int64))
    return found
