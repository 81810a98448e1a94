"""What stages really print when an input or a parameter is missing."""

from __future__ import annotations

import msgspec
import pytest

from ciml.core.forgotten import Known, forgotten
from ciml.core.ids import Digest, RepoPath, StageName
from ciml.core.order import OrderEnvironment, OrderInput, WorkOrder

ROOT = "/repo/.git/ciml/stages/0123456789abcdef/work"

FILES = frozenset(
    map(
        RepoPath,
        [
            "src/train.py", "src/features.py", "src/pkg/__init__.py", "src/pkg/text.py", "lib/tools.py",
            "data/raw/x.csv", "train.R", "run.sh", "weird name.csv", "params.yaml",
        ],
    )
)  # fmt: skip

PARAMETERS = {"train.lr": "params.yaml", "train.depth": "params.yaml", "seed": "params.yaml"}

KNOWN = Known(paths=FILES, parameters={key: RepoPath(file) for key, file in PARAMETERS.items()})


def given(path: str) -> OrderInput:
    return OrderInput(inside=RepoPath(path), digest=Digest("0" * 64), size=1)


def order(*inputs: str, workdir: str = "") -> WorkOrder:
    return WorkOrder(
        stage=StageName("train"),
        recipe=Digest("0" * 64),
        key=Digest("1" * 64),
        platform="any",
        workdir=RepoPath(workdir),
        inputs=tuple(map(given, inputs)),
        params={"train": {"depth": 3}},
    )


def sentence(path: str) -> str:
    return f"{path} is in the repository but is not an input of stage train"


@pytest.mark.parametrize(
    ("log", "path"),
    [
        ("FileNotFoundError: [Errno 2] No such file or directory: 'data/raw/x.csv'", "data/raw/x.csv"),
        ("FileNotFoundError: [Errno 2] No such file or directory: './data/raw'", "data/raw"),
        (f"FileNotFoundError: [Errno 2] No such file or directory: '{ROOT}/data/raw/x.csv'", "data/raw/x.csv"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'weird name.csv'", "weird name.csv"),
        (f"python: can't open file '{ROOT}/src/train.py': [Errno 2] No such file or directory", "src/train.py"),
        ("cat: data/raw/x.csv: No such file or directory", "data/raw/x.csv"),
        ("bash: line 1: ./run.sh: No such file or directory", "run.sh"),
        ("bash: line 1: data/raw/x.csv: No such file or directory", "data/raw/x.csv"),
        ("cannot start its command: No such file or directory: ./run.sh", "run.sh"),
        ("Fatal error: cannot open file 'train.R': No such file or directory", "train.R"),
        (
            "In addition: Warning message:\n  cannot open file 'data/raw/x.csv': No such file or directory\nHalted",
            "data/raw/x.csv",
        ),
        ("Error: 'data/raw/x.csv' does not exist in current working directory", "data/raw/x.csv"),
        ("OSError: data/raw/x.csv not found.", "data/raw/x.csv"),
        (
            "OSError: Unable to open file (name = 'data/raw/x.csv', error message = 'No such file or directory')",
            "data/raw/x.csv",
        ),
        ('IO Error: No files found that match the pattern "data/raw/x.csv"', "data/raw/x.csv"),
        ("ModuleNotFoundError: No module named 'features'", "src/features.py"),
        ("ModuleNotFoundError: No module named 'pkg.text'", "src/pkg/text.py"),
        ("ModuleNotFoundError: No module named 'lib'", "lib"),
        ("ModuleNotFoundError: No module named 'lib.tools'", "lib/tools.py"),
        ("/usr/bin/python: No module named lib.tools", "lib/tools.py"),
        (f"ImportError: cannot import name 'text' from 'pkg' ({ROOT}/src/pkg/__init__.py)", "src/pkg/text.py"),
    ],
)  # fmt: skip
def test_forgotten_input_is_named(log: str, path: str) -> None:
    """A missing file or module that the repository has is named, in the contract's sentence."""
    assert forgotten(f"working\n{log}\n", order("src/main.py"), KNOWN, root=ROOT) == sentence(path)


def test_workdir_counts() -> None:
    """A path is looked for from the stage's working directory first."""
    log = "FileNotFoundError: [Errno 2] No such file or directory: 'raw/x.csv'"

    assert forgotten(log, order(workdir="data"), KNOWN, root=ROOT) == sentence("data/raw/x.csv")


@pytest.mark.parametrize(
    "log",
    [
        "FileNotFoundError: [Errno 2] No such file or directory: 'build/new.csv'",
        "FileNotFoundError: [Errno 2] No such file or directory: '/data/raw/x.csv'",
        "FileNotFoundError: [Errno 2] No such file or directory: '../data/raw/x.csv'",
        "reading data/raw/x.csv\nValueError: bad column",
        "KeyError: 'age'",
        "KeyError: 'depth'",
        "",
    ],
)
def test_other_failures_are_left_alone(log: str) -> None:
    """A failure that no declaration would mend gets no such sentence."""
    assert forgotten(log, order("src/main.py"), KNOWN, root=ROOT) is None


def test_declared_input_is_not_forgotten() -> None:
    """What lies below a declared input was there."""
    log = "FileNotFoundError: [Errno 2] No such file or directory: 'data/raw/x.csv'"

    assert forgotten(log, order("data"), KNOWN, root=ROOT) is None


@pytest.mark.parametrize(
    ("log", "clause"),
    [
        ("KeyError: 'lr'", "params.yaml: train.lr is a parameter but stage train does not name it"),
        ("KeyError: 'seed'", "params.yaml: seed is a parameter but stage train does not name it"),
        (
            "omegaconf.errors.ConfigAttributeError: Missing key lr\n    full_key: train.lr\n    object_type=dict",
            "params.yaml: train.lr is a parameter but stage train does not name it",
        ),
        (
            "AttributeError: 'types.SimpleNamespace' object has no attribute 'lr'",
            "params.yaml: train.lr is a parameter but stage train does not name it",
        ),
    ],
)
def test_forgotten_parameter_is_named(log: str, clause: str) -> None:
    """A missing key that is a parameter the stage does not name is named with its file."""
    assert forgotten(f"Traceback (most recent call last):\n{log}\n", order("src/main.py"), KNOWN, root=ROOT) == clause


def test_a_params_file_is_had_by_naming_what_is_read_of_it() -> None:
    """It is no input: a stage finds it when it names one of its parameters."""
    log = "FileNotFoundError: [Errno 2] No such file or directory: 'params.yaml'"
    known = Known(paths=[RepoPath("params.yaml")], parameters=KNOWN.parameters)
    assert forgotten(log, order(), known, root=ROOT) == (
        "params.yaml is a params file: name what stage train reads of it in its `params`"
    )


def test_a_package_that_is_not_installed_is_named() -> None:
    """With what to do about it: on the PATH, or in the environment that the stage asks for."""
    log = "ModuleNotFoundError: No module named 'sklearn.svm'"
    environment = OrderEnvironment(python="3.11", requirements=None)
    asks = msgspec.structs.replace(order("src/main.py"), environment=environment)

    bare = forgotten(log, order("src/main.py"), KNOWN, root=ROOT)
    assert bare == "the Python on the PATH has no module sklearn: install its package there"
    assert forgotten(f"{log}\nexit code 1", order("src/main.py"), KNOWN, root=ROOT) == bare
    assert forgotten(f"{log}\nslower\nValueError: x\nexit code 1", order(), KNOWN, root=ROOT) is None
    made = forgotten(log, asks, KNOWN, root=ROOT)
    assert made == "the stage's environment has no module sklearn: add its package to the requirements"


def test_several_parameters() -> None:
    """A missing subtree names its leaves."""
    bare = WorkOrder(stage=StageName("train"), recipe=Digest("0" * 64), key=Digest("1" * 64), platform="any")

    clause = "params.yaml: train.lr, train.depth are parameters but stage train does not name them"
    assert forgotten("KeyError: 'train'", bare, KNOWN, root=ROOT) == clause
