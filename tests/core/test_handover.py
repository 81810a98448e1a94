"""Which artifact may say what."""

from __future__ import annotations

import pytest

from ciml.core.handover import is_artifact, may_tell_of_deployment, may_tell_of_stage


@pytest.mark.parametrize(
    ("artifact", "job", "may"),
    [
        ("ciml-stage-train--0", "train", True),
        ("ciml-stage-train--12", "train", True),
        ("ciml-stage-train-2--0", "train", False),
        ("ciml-stage-train--0", "train-2", False),
        ("ciml-stage-score--0", "train", False),
        ("ciml-stage-all", "train", True),
        ("ciml-stage-all--0", "train", False),
        ("ciml-rescore", "train", False),
        ("ciml-stage-None--0", None, False),
        ("", None, True),
    ],
)
def test_a_stage_is_told_of_by_its_own_job(artifact: str, job: str | None, may: bool) -> None:
    """Named for it, or of the one job that runs all; where nobody says whence, there is nothing to tell apart."""
    assert may_tell_of_stage(artifact, job) == may


@pytest.mark.parametrize(
    ("artifact", "environment", "may"),
    [
        ("ciml-receipt-production", "production", True),
        ("ciml-receipt-0", "production", True),
        ("ciml-receipt-staging", "production", False),
        ("ciml-settled", "production", False),
        ("production", "production", False),
        ("", "production", True),
    ],
)
def test_a_deployment_is_told_of_by_its_own_job(artifact: str, environment: str, may: bool) -> None:
    """What staging hands on says nothing of production."""
    assert may_tell_of_deployment(artifact, environment) == may


def test_other_folders_are_no_artifacts() -> None:
    """What lies in a folder as a job wrote it has other names."""
    assert not any(map(is_artifact, ("results", "objects", "plan.json", "ciml", "ciml-planned", "receipts")))
    assert all(map(is_artifact, ("ciml-plan", "ciml-settled", "ciml-rescore", "ciml-stage-a--0", "ciml-receipt-a")))
