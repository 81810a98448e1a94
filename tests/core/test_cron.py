from __future__ import annotations

import pytest

from ciml.core.cron import aws_cron
from ciml.core.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "expressions"),
    [
        ("0 3 * * 1", ["cron(0 3 ? * MON *)"]),
        ("*/20 * * * *", ["cron(0,20,40 * * * ? *)"]),
        ("5 4 1,15 jan-mar *", ["cron(5 4 1,15 1,2,3 ? *)"]),
        ("0 0 * * 0", ["cron(0 0 ? * SUN *)"]),
        ("0 0 * * 7", ["cron(0 0 ? * SUN *)"]),
        ("0 0 * * mon-fri", ["cron(0 0 ? * MON,TUE,WED,THU,FRI *)"]),
        ("0 0 * * 0-6", ["cron(0 0 * * ? *)"]),
        ("30 6-8/2 * * *", ["cron(30 6,8 * * ? *)"]),
        ("0 8/6 * * *", ["cron(0 8,14,20 * * ? *)"]),
        ("0 3 1 * 1", ["cron(0 3 1 * ? *)", "cron(0 3 ? * MON *)"]),
    ],
)
def test_five_fields_become_six(text: str, expressions: list[str]) -> None:
    """AWS counts weekdays from 1, wants a `?` for one of the two days, and knows no "either": so two schedules."""
    assert list(aws_cron(text)) == expressions


@pytest.mark.parametrize(
    "text", ["", "0 3 * *", "60 * * * *", "* * 0 * *", "* * * 13 *", "*/0 * * * *", "5-1 * * * *", "x * * * *"]
)
def test_what_is_no_time(text: str) -> None:
    """Named with the field at fault and an example, exit 3."""
    with pytest.raises(ConfigurationError) as caught:
        aws_cron(text)
    assert repr(text) in caught.value.message and "Monday" in str(caught.value.hint)
