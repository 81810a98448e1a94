"""What a machine has, and what of it is taken."""

from __future__ import annotations

from ciml.core.pipeline import Resources


class Capacity:
    """Processors, memory, GPUs and places of one machine.

    Args:
        has: all of it; memory 0 is not counted.
        jobs: places.
        visible: CUDA_VISIBLE_DEVICES as ciml itself has it, None where it is not set.
    """

    def __init__(self, has: Resources, jobs: int, visible: str | None) -> None:
        names = [name.strip() for name in visible.split(",") if name.strip()] if visible is not None else None
        self._gpus = [str(number) for number in range(has.gpus)] if names is None else names[: has.gpus]
        self.gpus = len(self._gpus)
        """How many GPUs there are, free or not."""
        self._cpus = has.cpus
        self._memory = has.memory or None
        self._jobs = jobs

    def fits(self, wanted: Resources) -> bool:
        """Whether that much is free."""
        return (
            self._jobs > 0
            and wanted.cpus <= self._cpus
            and (self._memory is None or wanted.memory <= self._memory)
            and wanted.gpus <= len(self._gpus)
        )

    def take(self, wanted: Resources) -> tuple[str, ...]:
        """The names of the GPUs that are now taken, with all else that is wanted."""
        self._count(wanted, -1)
        taken, self._gpus = tuple(self._gpus[: wanted.gpus]), self._gpus[wanted.gpus :]
        return taken

    def give_back(self, wanted: Resources, gpus: tuple[str, ...]) -> None:
        """What `take` took is free again."""
        self._count(wanted, 1)
        self._gpus = sorted([*self._gpus, *gpus], key=lambda name: (len(name), name))

    def _count(self, wanted: Resources, sign: int) -> None:
        self._jobs += sign
        self._cpus += sign * wanted.cpus
        if self._memory is not None:
            self._memory += sign * wanted.memory
