"""Reading of the bits of video headers."""

from __future__ import annotations


class BitReader:
    """A reader of bits, most significant first; zeros follow the data.

    Attributes:
        position: number of bits that were read.
    """

    def __init__(self, data: bytes):
        self.value, self.n_bits, self.position = int.from_bytes(data, "big"), 8 * len(data), 0

    def read(self, n: int) -> int:
        """Return the next `n` bits as an unsigned number."""
        self.position += n
        left = self.n_bits - self.position
        return (self.value >> left if left >= 0 else self.value << -left) & (1 << n) - 1

    def read_ue(self) -> int:
        """Return an Exp-Golomb code as an unsigned number (ITU-T H.264, 9.1)."""
        n_zeros = 0
        while self.position < self.n_bits and not self.read(1):
            n_zeros += 1
        return (1 << n_zeros) - 1 + self.read(n_zeros)

    def read_se(self) -> int:
        """Return an Exp-Golomb code as a signed number (ITU-T H.264, 9.1.1)."""
        code = self.read_ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)
