"""The states of the random generators that a resumed training restores."""

import random

import numpy as np
import pytest
import torch

from training.checkpoints import get_random_state, set_random_state


def draws():
    """Draw from every generator; NumPy caches the second of two normal numbers, which is part of its state."""
    return [random.random(), random.gauss(0, 1), np.random.random(), np.random.normal(), np.random.permutation(9).tolist(),
            torch.rand(3).tolist()]


@pytest.mark.parametrize("before", [
    pytest.param(lambda: None, id="new"),
    pytest.param(lambda: [np.random.normal(), random.random(), torch.rand(2)], id="with a cached normal number"),
])
def test_every_generator_continues_after_a_restart(tmp_path, before):
    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    before()
    torch.save(get_random_state(), tmp_path / "state.pth")
    expected = draws()
    random.seed(4), np.random.seed(5), torch.manual_seed(6)   # Another process.
    assert draws() != expected
    set_random_state(torch.load(tmp_path / "state.pth", weights_only=True))
    assert draws() == expected
