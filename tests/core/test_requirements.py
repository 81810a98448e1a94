"""What a requirements file may hold."""

from __future__ import annotations

import pytest

from ciml.core.errors import ConfigurationError
from ciml.core.requirements import check_requirements


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only words\n",
        "numpy==2.1.0\nscikit-learn[all] == 1.5.2 ; python_version < '3.12'  # pinned",
        "numpy==2.1.0 \\\n    --hash=sha256:" + "0" * 64,
        "--index-url https://pypi.example/simple\n--no-index\n-f /wheels\nnumpy==1",
        "pkg @ git+https://example.org/pkg@" + "a" * 40,
    ],
)
def test_exact_files_draw_no_word(text: str) -> None:
    """Exact versions, hashes, pinned commits and the options of an index are fine."""
    assert check_requirements(text) is None


def test_loose_lines_draw_a_warning() -> None:
    """Lines without an exact version are named in one sentence."""
    warning = check_requirements("numpy\npandas>=2\nscipy==1.*\ntorch==2.5.1\n")

    assert warning == "requirements.txt: no exact version for numpy, pandas, scipy; another day may install another one"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("-e .", "editable"),
        ("--editable=./pkg", "editable"),
        ("./pkg", "local path"),
        ("/srv/pkg-1.0.whl", "local path"),
        ("pkg @ file:///srv/pkg.whl", "local path"),
        ("wheels/pkg-1.0-py3-none-any.whl", "local path"),
        ("-r more.txt", "another file"),
        ("--constraint=c.txt", "another file"),
        ("--find-links wheels", "relative path"),
        ("--install-option=x", "option"),
    ],
)
def test_lines_that_lead_out_of_the_file_are_refused(line: str, fault: str) -> None:
    """What the file's digest does not cover is refused, with its line."""
    with pytest.raises(ConfigurationError, match=fault) as caught:
        check_requirements(f"numpy==1\n{line}\n", file="deps.txt")
    assert [(problem.file, problem.line) for problem in caught.value.problems] == [("deps.txt", 2)]
