"""The reference tables of the docs, made from the definitions that the code itself uses.

python -m tests.reference     write docs/commands.md and the tables of docs/ciml-yaml.md and docs/github.md anew
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import yaml

from ciml.cli.group import COMMANDS, cli
from ciml.core.document import schema
from ciml.core.unheeded import NOT_ACTED_ON

ROOT = Path(__file__).parent.parent
YAML = ROOT / "docs/ciml-yaml.md"
COMMAND_PAGE = ROOT / "docs/commands.md"
ACTION = ROOT / "action.yml"
ACTION_PAGE = ROOT / "docs/github.md"
_TABLE = re.compile(r"^<!-- keys of (?P<type>\w+) -->\n.*?^<!-- end -->$", re.DOTALL | re.MULTILINE)

_SCALAR = ("true or false", "whole number", "number", "text")


# The keys of ciml.yaml.


def definitions() -> dict[str, Any]:
    """The types of `ciml.yaml`, by name, as its JSON Schema defines them."""
    found: dict[str, Any] = schema()["$defs"]
    return found


def described(text: str) -> list[str]:
    """The types whose tables a page has."""
    return [match["type"] for match in _TABLE.finditer(text)]


def with_tables(text: str) -> str:
    """The page with every table made anew."""

    def anew(match: re.Match[str]) -> str:
        return "\n".join((f"<!-- keys of {match['type']} -->", *_table(match["type"]), "<!-- end -->"))

    return _TABLE.sub(anew, text)


def own_keys(name: str) -> list[str]:
    """The keys that a type has and the one it extends has not."""
    inherited = definitions()["DefaultsKeys"]["properties"] if name == "StageKeys" else ()
    return [key for key in definitions()[name]["properties"] if key not in inherited]


def _table(name: str) -> Iterator[str]:
    definition = definitions()[name]
    required = definition.get("required", ())
    yield "| key | value | default | |"
    yield "|---|---|---|---|"
    for key in own_keys(name):
        form = definition["properties"][key]
        mark = " †" if key in NOT_ACTED_ON.get(name, ()) else ""
        default = "required" if key in required else _default(form)
        yield f"| `{key}`{mark} | {_form(form)} | {default} | {form.get('description', '')} |"


def _default(form: dict[str, Any]) -> str:
    match form.get("default"):
        case bool() as value:
            return f"`{str(value).lower()}`"
        case str() as value if value:
            return f"`{value}`"
        case _:
            return ""


def section(name: str) -> str:
    """The heading of a type's part of the page: `PullRequestKeys` is under `pull-request`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name.removesuffix("Keys")).lower()


def _form(form: dict[str, Any]) -> str:
    """What may stand there, in words."""
    if "title" in form and "properties" not in form:
        return str(form["title"])
    if "$ref" in form:
        name = form["$ref"].rpartition("/")[2]
        return f"[{section(name)}](#{section(name)})"
    if "anyOf" in form:
        words = list(dict.fromkeys(_form(one) for one in form["anyOf"]))
        if set(_SCALAR) <= set(words):
            words = ["text, number, true or false", *(word for word in words if word not in _SCALAR)]
        return " or ".join(words)
    if "enum" in form:
        return " or ".join(f"`{value}`" for value in form["enum"])
    if "const" in form:
        return f"`{form['const']}`"
    return _plain(form)


def _plain(form: dict[str, Any]) -> str:
    match form.get("type"):
        case "array":
            return f"list of {_form(form['items'])}" if form.get("items") else "list"
        case "object":
            values = form.get("additionalProperties")
            return f"mapping to {_form(values)}" if isinstance(values, dict) and values else "mapping"
        case "string":
            return "text"
        case "boolean":
            return "true or false"
        case "integer":
            return "whole number"
        case kind:
            return str(kind or "anything")


# The Action.


def with_action(text: str) -> str:
    """The page with the tables of the Action's inputs and outputs made anew."""
    action = yaml.safe_load(ACTION.read_text())
    for kind in ("inputs", "outputs"):
        head = f"<!-- {kind} of the Action -->\n"
        before, _, rest = text.partition(head)
        rest = rest[rest.index("<!-- end -->") :]
        text = before + head + "".join(f"{row}\n" for row in _of_action(kind, action[kind])) + rest
    return text


def _of_action(kind: str, entries: dict[str, dict[str, str]]) -> Iterator[str]:
    yield f"| {kind.removesuffix('s')} | |" + (" default |" if kind == "inputs" else "")
    yield "|---|---|" + ("---|" if kind == "inputs" else "")
    for name, entry in entries.items():
        default = f"`{entry['default']}`" if entry.get("default") else ""
        yield f"| `{name}` | {entry['description']} |" + (f" {default} |" if kind == "inputs" else "")


# The commands.


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command by its full name, those of `store` as well."""
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", below) for inner, below in command.commands.items())


def command_page() -> str:
    """The whole of docs/commands.md."""
    lines = [
        "# Commands",
        "",
        "`make readme` writes this page from the commands' own help.",
        "",
        "These options stand before the command:",
        "",
        *_options(cli),
        "",
        "Exit codes are in the [README](../README.md#exit-codes).",
    ]
    for name, command in commands():
        usage = " ".join(command.collect_usage_pieces(click.Context(command, info_name=name)))
        lines += ["", f"## {name}", "", "```text", f"ciml {name} {usage}", "```", "", _help(command)]
        if options := _options(command):
            lines += ["", *options]
    return "\n".join(lines) + "\n"


def _help(command: click.Command) -> str:
    return "\n\n".join(_paragraph(text) for text in inspect.cleandoc(command.help or "").split("\n\n"))


def _paragraph(text: str) -> str:
    """A paragraph on one line; one that click is told to leave as it is stands as it is."""
    kept = text.removeprefix("\b\n")
    return " ".join(text.split()) if kept == text else f"```text\n{kept}\n```"


def _options(command: click.Command) -> list[str]:
    context = click.Context(command)
    records = [option.get_help_record(context) for option in command.get_params(context)]
    rows = [
        f"| `{names}` | {' '.join(text.split()).replace('|', '&#124;')} |"
        for names, text in filter(None, records)
        if names.startswith("-") and "--help" not in names and "--version" not in names
    ]
    return ["| option | |", "|---|---|", *rows] if rows else []


def main() -> None:
    """Write the pages anew."""
    YAML.write_text(with_tables(YAML.read_text()))
    COMMAND_PAGE.write_text(command_page())
    ACTION_PAGE.write_text(with_action(ACTION_PAGE.read_text()))


if __name__ == "__main__":
    main()
