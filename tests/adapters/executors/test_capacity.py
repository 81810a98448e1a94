"""What a machine has, taken and given back."""

from __future__ import annotations

from ciml.adapters.executors.capacity import Capacity
from ciml.core.pipeline import Resources


def test_taken_and_given_back() -> None:
    """What is taken is gone until it is given back; the lowest GPUs go first."""
    capacity = Capacity(Resources(cpus=4, memory=100, gpus=3), 3, None)
    two, one = Resources(cpus=2, memory=50, gpus=2), Resources(cpus=1, memory=50, gpus=1)

    assert capacity.take(two) == ("0", "1")
    assert capacity.fits(one) and not capacity.fits(two)
    assert capacity.take(one) == ("2",)
    assert not capacity.fits(Resources(cpus=0.5, memory=1))
    capacity.give_back(two, ("0", "1"))
    assert capacity.fits(two) and capacity.take(one) == ("0",)


def test_visible_gpus_are_what_there_is() -> None:
    """Where CUDA_VISIBLE_DEVICES is set, its names are handed out, and no other."""
    capacity = Capacity(Resources(cpus=8, gpus=4), 8, "3, GPU-ab")
    assert capacity.gpus == 2
    assert capacity.take(Resources(gpus=2)) == ("3", "GPU-ab")
    assert Capacity(Resources(cpus=8, gpus=4), 8, "").gpus == 0


def test_memory_that_is_not_known_is_not_counted() -> None:
    """A machine whose memory is not stated refuses nobody for it; without a place nothing fits."""
    assert Capacity(Resources(cpus=1), 1, None).fits(Resources(memory=1 << 50))
    assert not Capacity(Resources(cpus=1), 0, None).fits(Resources(cpus=0.1))
