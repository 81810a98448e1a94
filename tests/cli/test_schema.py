"""`ciml schema` from the command line."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.cli.calls import Calls, process


def test_the_schema_is_one(ciml: Calls) -> None:
    """A valid JSON Schema, that takes a small file and refuses an unknown key."""
    schema = ciml.ok("schema").json
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    small = {"version": 1, "stages": {"a": {"run": "ls"}}}
    jsonschema.validate(small, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**small, "stagse": {}}, schema)


def test_it_needs_no_repository(tmp_path: Path) -> None:
    """An editor asks for it anywhere."""
    assert process(tmp_path, "schema").json["$schema"].startswith("https://json-schema.org/")


def test_the_template_fits_it(ciml: Calls) -> None:
    """What `ciml init` writes is what the schema describes."""
    template = Path(__file__).parents[2] / "templates/sklearn/ciml.yaml"
    jsonschema.validate(yaml.safe_load(template.read_text()), ciml.ok("schema").json)
