"""The allow-list of a stage's environment."""

from __future__ import annotations

from ciml.core.ids import Digest, StageName
from ciml.core.order import WorkOrder
from ciml.core.stage_env import missing_secrets, stage_env

ORDER = WorkOrder(
    stage=StageName("train"),
    recipe=Digest("0" * 64),
    key=Digest("1" * 64),
    platform="any",
    env={"SEED": "1", "TZ": "UTC"},
    pass_env=("TEAM", "ABSENT"),
    secrets=("TOKEN",),
)
MACHINE = {
    "PATH": "/bin", "HOME": "/root", "LC_ALL": "C", "TZ": "Asia/Tokyo", "https_proxy": "p", "SSL_CERT_FILE": "c",
    "CUDA_VISIBLE_DEVICES": "1", "OMP_NUM_THREADS": "2", "CONDA_PREFIX": "/c", "TEAM": "blue", "TOKEN": "t",
}  # fmt: skip
WITHHELD = {
    "AWS_SECRET_ACCESS_KEY": "x", "GITHUB_TOKEN": "x", "GITHUB_ENV": "x", "MLFLOW_TRACKING_URI": "x", "PYTHONPATH": "x",
    "BASH_ENV": "x", "LD_PRELOAD": "x", "PYTHONHASHSEED": "1", "GIT_DIR": "x", "ACTIONS_RUNTIME_TOKEN": "x",
}  # fmt: skip


def test_c104_only_what_is_allowed_or_named() -> None:
    """A stage gets the allowed variables, its own `env`, and what it names; its own `env` wins."""
    assert stage_env(ORDER, MACHINE | WITHHELD) == MACHINE | {"SEED": "1", "TZ": "UTC"}


def test_missing_secrets_are_told() -> None:
    """A declared secret that is not set, or empty, is missing."""
    assert missing_secrets(ORDER, MACHINE) == ()
    assert missing_secrets(ORDER, {"TOKEN": ""}) == ("TOKEN",)
