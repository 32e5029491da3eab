"""Kernel temporal segmentation in time that grows with the video's length, not with its square."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

BLOCK = 128             # segment ends that are costed together
AT_ONCE = 512           # rows that are summed up, starts that are costed, and segments whose sums are compared
MEMORY_BYTES = 6e7      # scatters that are kept from one pass to the next
PRUNE_EVERY = 16        # ends between two looks at which starts are out
MAX_PASSES = 16         # of the penalised search, before the table decides among what is left
ROUNDING = 1e-9         # of the rows' sum of squares
NARROW = 0.5            # of the price of a change point: as near the bounds must come for the table to be small


class Scatter:
    """Scatter around their mean of rows [i, j), for many i and j at once, by sums of the rows before i and j.

    With S the sums of the rows, less the mean of all, the scatter of [i, j) is their sum of squares less
    |S[j] - S[i]|^2 over j - i; so that one product of matrices gives those of many segments.

    Args:
        rows: (T, C) floating; read as float64.

    Attributes:
        error: by how much rounding may move the scatter of a whole segmentation.
    """

    def __init__(self, rows: np.ndarray):
        self.T, C = rows.shape
        mean = rows.mean(axis=0, dtype=np.float64)
        self._sums = np.zeros((self.T + 1, C))
        own = np.empty(self.T)
        for begin in range(0, self.T, AT_ONCE):
            block = rows[begin:begin + AT_ONCE] - mean
            np.cumsum(block, axis=0, out=self._sums[begin + 1:begin + 1 + len(block)])
            self._sums[begin + 1:begin + 1 + len(block)] += self._sums[begin]
            own[begin:begin + AT_ONCE] = np.einsum("tc,tc->t", block, block)
        self._norms = np.einsum("tc,tc->t", self._sums, self._sums)
        self.squares = np.concatenate([[0], np.cumsum(own)])   # (T + 1,)
        self.error = ROUNDING * float(self.squares[-1])
        self._kept: dict[int, tuple[int, np.ndarray]] = {}
        self._bytes = 0

    def exact(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """(N,) float64 scatters of rows [starts, ends)."""
        out = np.empty(len(starts))
        for n in range(0, len(starts), AT_ONCE):
            part = slice(n, n + AT_ONCE)
            between = self._sums[ends[part]] - self._sums[starts[part]]
            out[part] = np.einsum("nc,nc->n", between, between)
        return self.squares[ends] - self.squares[starts] - out / (ends - starts)

    def block(self, begin: int, first: int) -> tuple[int, np.ndarray]:
        """Scatters of the segments that end at `begin + 1` up to `begin + BLOCK`.

        Args:
            begin: first row of the block.
            first: row from which on starts are wanted.

        Returns:
            The row of the first column, at most `first`, and (ends, starts), inf where a segment is empty.
        """
        kept = self._kept.get(begin)
        if kept is not None and kept[0] <= first:
            return kept
        made = first, self._make(begin, first)
        if kept is not None:
            self._bytes -= kept[1].nbytes
        if self._bytes + made[1].nbytes <= MEMORY_BYTES:
            self._kept[begin] = made
            self._bytes += made[1].nbytes
        else:
            self._kept.pop(begin, None)
        return made

    def _make(self, begin: int, first: int) -> np.ndarray:
        end = min(begin + BLOCK, self.T)
        ends, out = np.arange(begin + 1, end + 1)[:, None], np.empty((end - begin, end - first))
        theirs, norms, squares = self._sums[begin + 1:end + 1], self._norms[ends], self.squares[ends]
        for i in range(first, end, AT_ONCE):   # few at once, which the processor's cache holds
            starts = np.arange(i, min(i + AT_ONCE, end))
            part = theirs @ self._sums[starts[0]:starts[-1] + 1].T   # (ends, starts)
            part *= 2
            part -= norms
            part -= self._norms[starts]
            part /= np.maximum(ends - starts, 1)
            part += squares
            part -= self.squares[starts]
            out[:, i - first:i - first + len(starts)] = part
        empty = np.arange(begin, end) >= ends
        out[:, begin - first:][empty] = np.inf
        return out


def best_change_points(rows: np.ndarray, price: np.ndarray) -> np.ndarray:
    """The change points of the least scatter plus price, exactly.

    A price of `lam` for each change point makes the search one pass over the ends, in which a start that can
    never again be part of the best is dropped (PELT: Killick et al., JASA 2012), and bounds the scatter with
    m change points from below by a line in m. Lines of several prices rule out most numbers of change points;
    for those that are left, segments that no solution better than the best known can hold are ruled out by the
    same bound, and a table over the few others decides.

    Args:
        rows: (T, C) floating; read as float64.
        price: (limit + 1,) of 0, 1, .. change points, concave.

    Returns:
        (M,) ascending rows where a new segment starts, M <= limit.
    """
    search = _Search(Scatter(rows), price)
    search.explore()
    return search.decide()


class _Search:
    """What is known so far: scatters of some numbers of change points, and lines below all others."""

    def __init__(self, scatter: Scatter, price: np.ndarray):
        self.scatter, self.price = scatter, price
        self.T, self.limit = scatter.T, len(price) - 1
        self.known: dict[int, tuple[float, np.ndarray]] = {}   # number -> scatter, points
        self.lines: dict[float, float] = {}                    # lam -> least scatter + lam * number
        self.add(np.empty(0, dtype=np.int64))
        self.add(np.arange(1, self.T), 0.0)

    def add(self, points: np.ndarray, cost: float | None = None) -> None:
        """Takes note of a segmentation by its change points; its scatter is computed where it is not given."""
        if cost is None:
            starts, ends = np.concatenate([[0], points]), np.concatenate([points, [self.T]])
            cost = float(self.scatter.exact(starts, ends).sum())
        if len(points) not in self.known or cost < self.known[len(points)][0]:
            self.known[len(points)] = cost, points

    def best(self) -> tuple[float, int]:
        """The least scatter plus price that is known to be reached, and its number of change points."""
        return min((cost + self.price[m], m) for m, (cost, _) in self.known.items() if m <= self.limit)

    def gaps(self, lam: float) -> np.ndarray:
        """(limit + 1,): how far above the line of `lam` the best may lie, by its number of change points."""
        m = np.arange(self.limit + 1)
        return self.best()[0] - self.price - (self.lines[lam] - self.scatter.error - lam * m)

    def open(self) -> np.ndarray:
        """Numbers of change points for which no line rules out a solution as good as the best."""
        gaps = np.min([self.gaps(lam) for lam in self.lines], axis=0)
        return np.flatnonzero(gaps >= 0)

    def explore(self) -> None:
        """Draws lines until few numbers are left, or the lines come close to what is known."""
        lam = max(float(self.price[-1] - self.price[-2]), 1e-9) if self.limit else 1.0
        for _ in range(MAX_PASSES):
            least, points, _ = penalized_segmentation(self.scatter, lam)
            self.lines[lam] = least
            self.add(points, least - lam * len(points) if len(points) > self.limit else None)
            if len(points) > self.limit:
                self._fill()
            gaps = np.min([self.gaps(tried) for tried in self.lines], axis=0)
            if gaps.max() < NARROW * lam + self.scatter.error:
                return
            lam = self._next(int(gaps.argmax()))
            if lam in self.lines or lam <= 0:
                return

    def _next(self, m: int) -> float:
        """A price whose line may rule out m change points."""
        at = sorted(self.known)
        hull: list[int] = []   # of those known, the lower one
        for k in at:
            while len(hull) > 1 and self._slope(hull[-2], hull[-1]) <= self._slope(hull[-1], k):
                hull.pop()
            hull.append(k)
        after = max(1, next(i for i, k in enumerate(hull) if k >= m or i == len(hull) - 1))
        chord, top = self._slope(hull[after - 1], hull[after]), self.best()[1]
        if m >= top:
            return chord
        return min(chord, float(self.price[top] - self.price[m] + 2 * self.scatter.error) / (top - m))

    def _slope(self, few: int, many: int) -> float:
        return (self.known[few][0] - self.known[many][0]) / (many - few)

    def _fill(self) -> None:
        """Finds good segmentations up to the limit among the change points of the two around it."""
        below, above = max(m for m in self.known if m <= self.limit), min(m for m in self.known if m > self.limit)
        borders = np.union1d(self.known[below][1], self.known[above][1])
        if len(borders) > 4 * self.limit + 8:
            return
        nodes = np.concatenate([[0], borders, [self.T]])
        ends, starts = np.tril_indices(len(nodes), -1)   # 1 | 2, 2 | 3, 3, 3 | .. and 0 | 0, 1 | 0, 1, 2 | ..
        costs, by_end = self.scatter.exact(nodes[starts], nodes[ends]), np.flatnonzero(np.diff(ends)) + 1
        pairs = zip(np.split(starts, by_end), np.split(costs, by_end), strict=True)
        for points in table(pairs, len(borders) + 1, self.limit):
            self.add(nodes[points])

    def _settled(self, m: int) -> bool:
        """Whether no segmentation with m change points is better than the known one, but for rounding."""
        bound = max(least - lam * m for lam, least in self.lines.items())
        return m in self.known and self.known[m][0] <= bound + self.scatter.error

    def decide(self) -> np.ndarray:
        """The best of all, by a table of the segments that are not ruled out."""
        left = self.open()
        if any(not self._settled(m) for m in left):
            lam = min(self.lines, key=lambda tried: self.gaps(tried)[left].max())
            slack = float(self.gaps(lam)[left].max()) + 2 * self.scatter.error
            _, _, listed = penalized_segmentation(self.scatter, lam, slack)
            for points in table(self._with_costs(listed), self.T, int(left[-1])):
                if len(points) in left:
                    self.add(points)
        known = sorted((m, cost) for m, (cost, _) in self.known.items() if m <= self.limit)
        values = np.array([cost + self.price[m] for m, cost in known])
        return self.known[known[int(values.argmin())][0]][1]

    def _with_costs(self, listed: list[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each end 1..T the starts that are listed, and their segments' scatters."""
        for begin in range(0, self.T, BLOCK):
            of_block = listed[begin:begin + BLOCK]
            column, costs = self.scatter.block(begin, int(min(starts[0] for starts in of_block)))
            for r, starts in enumerate(of_block):
                yield starts, costs[r, starts - column]


def penalized_segmentation(scatter: Scatter, lam: float,
                           slack: float | None = None) -> tuple[float, np.ndarray, list[np.ndarray]]:
    """Segments the rows at a price of `lam` for each change point (Jackson et al., 2005), with PELT's pruning.

    Args:
        slack: what a start may lose against the best one and still be listed; None lists none.

    Returns:
        The least scatter plus price; its change points; for each end 1..T the starts within the slack, ascending.
    """
    T, spare = scatter.T, slack or 0.0
    least, last = np.zeros(T + 1), np.zeros(T + 1, dtype=np.int64)
    least[0] = -lam
    listed: list[np.ndarray] = []
    first = 0
    for begin in range(0, T, BLOCK):
        column, costs = scatter.block(begin, first)
        for r in range(min(BLOCK, T - begin)):
            j = begin + r + 1
            total = least[first:j] + costs[r, first - column:j - column]
            k = int(total.argmin())
            last[j], least[j] = first + k, total[k] + lam
            if slack is not None:
                listed.append((first + np.flatnonzero(total <= total[k] + spare)).astype(np.int32))
            if j % PRUNE_EVERY == 0:
                first += int((total <= least[j] + spare).argmax())
    points = []
    j = int(last[T])
    while j > 0:
        points.append(j)
        j = int(last[j])
    return float(least[T]), np.array(points[::-1], dtype=np.int64), listed


def table(segments: Iterable[tuple[np.ndarray, np.ndarray]], T: int, limit: int) -> list[np.ndarray]:
    """The best change points for each number of them up to the limit, by dynamic programming.

    Args:
        segments: for each end 1..T the rows at which its segment may start, ascending, and what those cost.

    Returns:
        Change points, for every number that the segments allow.
    """
    best = np.full((limit + 1, T + 1), np.inf)   # [m, j]: rows [0, j) with m change points
    came = np.zeros((limit + 1, T + 1), dtype=np.int32)
    counts = np.arange(limit)
    for j, (rows, cost) in enumerate(segments, start=1):
        first, last = int(rows[0]), int(rows[-1])
        columns = slice(first, last + 1) if last - first + 1 == len(rows) else rows   # a slice is no copy
        total = best[:-1, columns] + cost   # (limit, starts): one more change point
        if limit:
            k = total.argmin(axis=1)
            best[1:, j], came[1:, j] = total[counts, k], rows[k]
        if first == 0:
            best[0, j] = cost[0]
    found = []
    for m in np.flatnonzero(np.isfinite(best[:, T])):
        points, j = [], T
        for left in range(m, 0, -1):
            j = int(came[left, j])
            points.append(j)
        found.append(np.array(points[::-1], dtype=np.int64))
    return found
