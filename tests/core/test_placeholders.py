from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ciml.core.params import Params
from ciml.core.pipeline import Command, ParamValue
from ciml.core.placeholders import Lookup, PlaceholderError, argv, in_expression, lookup, names, replaced, script

HOSTILE = [
    "0.1; touch canary",
    "$(touch canary)",
    "`touch canary`",
    "${HOME}",
    "${{ params.other }}",
    "%s %n",
    "{x.__class__}",
    "two\nlines",
    "tab\there",
    "-rf",
    "--",
    "*",
    "~",
    "'",
    '"',
    "\\",
    "'; touch canary; '",
    '"; touch canary; "',
    "a[$(touch canary)]",
    "!!",
    "#",
    "",
    " ",
    "|| touch canary",
    "&& touch canary",
    "é ☃ \U0001f600",
]

# Each prints its arguments, one per line, with their lengths in front; the value is one of them.
SCRIPTS = [
    "show ${{ params.x }}",
    "show a ${{ params.x }} b",
    'show "${{ params.x }}"',
    'show "pre ${{ params.x }} post"',
    "show pre-${{ params.x }}-post",
    "show ${{params.x}}${{ params.x }}",
    'V=${{ params.x }}\nshow "$V"',
    'V="$(printf %s ${{ params.x }}; echo .)"; show "${V%.}"',
    "V=$(printf '%s.' ${{ params.x }}); show \"${V%.}\"",
    "( show ${{ params.x }} )",
    "{ show ${{ params.x }}; }",
    "if true; then show ${{ params.x }}; fi",
    'for v in a ${{ params.x }}; do show "$v"; done',
    "case ${{ params.x }} in zzz) show no;; *) show ${{ params.x }};; esac",
    "show ${{ params.x }} # and ${{ params.x }} in a comment, isn't it",
    "# don't ${{ params.x }}\nshow ${{ params.x }}",
    "show 'single' ${{ params.x }} 'again'",
    "show \\' ${{ params.x }}",
    'show "\\"" ${{ params.x }}',
    'show "it\'s" ${{ params.x }}',
    "show $'it\\'s' ${{ params.x }}",
    'V="$(printf %s. "${{ params.x }}")"; show "${V%.}"',
    "cat <<EOF >/dev/null\nit's\nEOF\nshow ${{ params.x }}",
    "cat <<-'E O' >/dev/null\n\tdon't \"\n\tE O\nshow ${{ params.x }}",
    "cat <<<it >/dev/null; show ${{ params.x }}",
    "cat <<< ${{ params.x }} >/dev/null; show ${{ params.x }}",
    "N=$(( 1 + 2 )); show ${{ params.x }} $N",
    "show ${HOME:-it} ${{ params.x }}",
    'show "${HOME:+"}"}" ${{ params.x }}',
    'show `echo "it\'s"` ${{ params.x }}',
    "[ ${{ params.x }} = zzz ] || show ${{ params.x }}",
    "[[ ${{ params.x }} == zzz ]] || show ${{ params.x }}",
    'A=(1 ${{ params.x }}); show "${A[1]}"',
    "show a \\\n  ${{ params.x }}",
    'f() { show "$1"; }; f ${{ params.x }}',
    "X=1 show ${{ params.x }}",
]
SHOW = "show() { printf '%s\\0' \"$@\"; }\n"
# The same script for every value, each time in a subshell: starting bash is what takes long.
FOR_EACH = SHOW + 'for name in $NAMES; do ( CIML_ARG_1="${!name}"; eval "$SCRIPT" ); show "$END"; done'


def values(x: ParamValue = "v", *, matrix: dict[str, str | int | float | bool] | None = None) -> Lookup:
    held: dict[str, ParamValue] = {"x": x, "n": 0.5, "train.lr": 0.1}
    params = Params(files={}, values=held, file_of={}, subtrees={"train": ["train.lr"]})
    return lookup(params, matrix)


def shown(text: str, given: list[str], folder: Path) -> list[list[str]]:
    """For each value the words that the script's `show` was given."""
    commands = [script(text, values(value)) for value in given]
    assert all(command.script == commands[0].script for command in commands)
    named = {f"VALUE_{index}": command.arguments["CIML_ARG_1"] for index, command in enumerate(commands)}
    end = "end of one value"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", FOR_EACH],
        env={
            "PATH": os.environ["PATH"],
            "HOME": "/",
            "LC_ALL": "C.UTF-8",
            "NAMES": " ".join(named),
            "SCRIPT": commands[0].script or "",
            "END": end,
            **named,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    runs = done.stdout.split(f"{end}\0")
    return [run.split("\0")[:-1] for run in runs[:-1]]


@pytest.mark.parametrize("text", SCRIPTS)
def test_c094_a_value_is_one_word_and_never_script(text: str, tmp_path: Path) -> None:
    """Whatever a value holds and wherever its placeholder may stand, bash sees it as it is, and runs none of it."""
    benign, *hostile = shown(text, ["benign", *HOSTILE], tmp_path)
    assert any("benign" in word for word in benign)
    assert hostile == [[word.replace("benign", value) for word in benign] for value in HOSTILE]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", HOSTILE)
def test_c094_an_argv_item_is_one_argument(value: str) -> None:
    """In an argv list the value stays inside its argument, unread."""
    made = argv(["echo", "--x=${{ params.x }}", "${{ params.x }}"], values(value))
    assert made.argv == ("echo", f"--x={value}", value)
    assert made.arguments == {}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("echo '${{ params.x }}'", "single quotes"),
        ("echo $'${{ params.x }}'", "$'"),
        ("cat <<EOF\n${{ params.x }}\nEOF", "here-document"),
        ("cat <<'EOF'\n${{ params.x }}\nEOF", "here-document"),
        ("cat <<-EOF\n\t${{ params.x }}\n\tEOF", "here-document"),
        ("cat <<EOF; cat <<X\na\nEOF\n${{ params.x }}\nX", "here-document"),
        ('V="$(cat <<EOF\n${{ params.x }}\nEOF\n)"', "here-document"),
        ("cat <<${{ params.x }}\na\n", "here-document"),
        ("echo `echo ${{ params.x }}`", "backquotes"),
        ("echo $(( ${{ params.x }} + 1 ))", "arithmetic"),
        ("(( V = ${{ params.x }} ))", "arithmetic"),
        ("[[ ${{ params.x }} -lt 3 ]]", "arithmetic"),
        ('[[ 3 -gt "${{ params.x }}" ]]', "arithmetic"),
        ("[[ -v ${{ params.x }} ]]", "arithmetic"),
        ("echo ${HOME:-${{ params.x }}}", "${"),
        ('echo "${HOME:-${{ params.x }}}"', "${"),
        ("A[${{ params.x }}]=1", "subscript"),
        ("eval ${{ params.x }}", "script"),
        ('eval "echo ${{ params.x }}"', "script"),
        ("bash -c ${{ params.x }}", "script"),
        ('sudo bash -euo pipefail -c "echo ${{ params.x }}"', "script"),
        ("/bin/sh -ec 'x' \"${{ params.x }}\" ", "script"),
        ('python3 -c "print(${{ params.x }})"', "script"),
        ('perl -e "print ${{ params.x }}"', "script"),
        ("let V=${{ params.x }}", "script"),
        ("trap ${{ params.x }} EXIT", "script"),
        ("read ${{ params.x }}", "script"),
        ("if true; then eval ${{ params.x }}; fi", "script"),
        ("echo \\${{ params.x }}", "backslash"),
        ('echo "\\${{ params.x }}"', "backslash"),
        ('echo "$(case a in a) echo ${{ params.x }};; esac)"', "case"),
        ("echo $(echo `echo ${{ params.x }}`)", "backquotes"),
        ("echo $[ ${{ params.x }} ]", "arithmetic"),
    ],
)
def test_where_a_value_could_become_script_it_is_refused(text: str, where: str) -> None:
    """Single quotes, here-documents, arithmetic and texts that are read as scripts take no placeholder."""
    with pytest.raises(PlaceholderError, match="could become part of the script") as caught:
        script(text, values())
    assert where in str(caught.value)


@pytest.mark.parametrize(
    "text", ["$(date)", "`date`", "100%s", "{x.__class__}", "a\nb", "-x", "$HOME", "${HOME}", "{{ x }}"]
)
def test_c095_what_is_no_placeholder_stays_as_it_is(text: str) -> None:
    """`$(...)`, a backquote, `%s`, `{x.__class__}`, a newline and a leading `-` are literal."""
    assert replaced(text, values()) == text
    assert script(text, values()) == Command(script=text)
    assert argv([text], values()).argv == (text,)


@pytest.mark.parametrize(
    "text", ["${{ }}", "${{ env.HOME }}", "${{ params.x | upper }}", "${{ params.x", "${{ secrets.X }}", "${{params}}"]
)
def test_c095_another_placeholder_is_an_error(text: str) -> None:
    """`${{` opens `params.NAME` or `matrix.NAME`, and nothing is computed in it."""
    for read in (replaced, script, in_expression):
        with pytest.raises(PlaceholderError, match="is no placeholder"):
            read(text, values())


def test_a_value_is_not_read_again() -> None:
    """A value that looks like a placeholder is text."""
    assert replaced("${{ params.x }}", values("${{ params.n }}")) == "${{ params.n }}"


def test_unknown_names_come_with_a_suggestion() -> None:
    """A misspelt parameter, a subtree, and a matrix outside of one say what to write."""
    with pytest.raises(PlaceholderError) as caught:
        replaced("${{ params.train.lrr }}", values())
    assert caught.value.hint == "did you mean 'train.lr'?"
    with pytest.raises(PlaceholderError, match="subtree"):
        replaced("${{ params.train }}", values())
    with pytest.raises(PlaceholderError, match="no value here"):
        replaced("${{ matrix.lr }}", values())
    assert replaced("${{ matrix.lr }}", values(matrix={"lr": 1e-05})) == "0.00001"
    with pytest.raises(PlaceholderError, match=r"unknown matrix\.x"):
        replaced("${{ matrix.x }}", values(matrix={"lr": 1}))


def test_an_argument_per_name_by_first_appearance() -> None:
    """The same placeholder is one variable; another gets the next number."""
    made = script("a ${{ params.n }} ${{ params.x }} ${{ params.n }}", values(True))
    assert made.script == 'a "${CIML_ARG_1}" "${CIML_ARG_2}" "${CIML_ARG_1}"'
    assert made.arguments == {"CIML_ARG_1": "0.5", "CIML_ARG_2": "true"}
    assert names("${{ params.n }} ${{params.x}} ${{ params.n }}") == ("params.n", "params.x")


def test_in_an_expression_a_value_is_a_literal() -> None:
    """Numbers stand bare, strings in quotes, and a string's own quotes end nothing."""
    assert in_expression("auc >= ${{ params.n }}", values()) == "auc >= 0.5"
    assert in_expression("${{ params.x }} == 'a'", values("it's' or true or 'x")) == "'it''s'' or true or ''x' == 'a'"
    with pytest.raises(PlaceholderError, match="cannot hold"):
        in_expression("auc >= ${{ params.x }}", values([1]))


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    pieces=st.lists(
        st.sampled_from(
            [
                "show ",
                "${{ params.x }}",
                '"',
                "'",
                " ",
                "\\",
                "$(",
                ")",
                "(",
                "`",
                "\n",
                ";",
                "#",
                "a",
                "${",
                "}",
                "$((",
                "))",
                "<<E\n",
                "E\n",
                "$'",
                "[[ ",
                " ]]",
                "case a in a)",
                "esac",
                "{ ",
                "&& ",
            ]
        ),
        max_size=14,
    )
)
def test_whatever_the_script_a_value_is_never_run(pieces: list[str], tmp_path: Path) -> None:
    """In any script that is accepted, well-formed or not, a hostile value runs nothing."""
    try:
        made = script(
            "".join(pieces), values("x; touch canary `touch canary` $(touch canary) ' \" ) }} a[$(touch canary)]")
        )
    except PlaceholderError:
        return
    subprocess.run(
        ["bash", "-c", SHOW + (made.script or "")],
        env={"PATH": os.environ["PATH"], **made.arguments},
        cwd=tmp_path,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=20,
    )
    assert not (tmp_path / "canary").exists()
