"""What this machine has for stages to use."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ciml.core.pipeline import Resources

_NVIDIA = "/proc/driver/nvidia/gpus"


def resources(environ: Mapping[str, str]) -> Resources:
    """Processors this process may use, memory, and GPUs (those of CUDA_VISIBLE_DEVICES where it is set)."""
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        gpus = len([name for name in visible.split(",") if name.strip() and name.strip() != "-1"])
    else:
        gpus = len(os.listdir(_NVIDIA)) if os.path.isdir(_NVIDIA) else 0
    return Resources(
        cpus=float(len(os.sched_getaffinity(0))),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        gpus=gpus,
    )
