"""A bucket where boto3 is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """
import sys
from ciml.adapters.stores.bucket import Bucket
from ciml.core.s3 import s3_address
sys.modules["boto3"] = sys.modules["botocore"] = None
bucket = Bucket(s3_address("s3://somewhere/ciml"), {})
try:
    CALL
except Exception as error:
    print(type(error).__name__, error.hint)
"""


@pytest.mark.parametrize("call", ["read('a')", "open('a')", "look('a')", "write('a', b'')", "page('a')"])
def test_without_the_extra_the_error_names_the_command(call: str) -> None:
    """Whatever is asked first: the Action installs more for that error, and for no other."""
    code = ASK.replace("CALL", f"bucket.{call}")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == 'MissingExtraError pip install "ciml[aws]"\n'
