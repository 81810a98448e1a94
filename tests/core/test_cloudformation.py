from __future__ import annotations

from ciml.core.cloudformation import Arn, Part, Resource, Sub, Token, Where, differences, resolved, template

HERE = Where(partition="aws-cn", account="123456789012", region="cn-north-1")


def test_values_are_put_in() -> None:
    """Region, account, other resources' ARNs and the token, at any depth."""
    part: Part = {
        "a": [Sub(text="arn:${AWS::Partition}:x:${AWS::Region}:${AWS::AccountId}:y"), 3, True],
        "b": {"c": Arn(of="Role"), "d": Token(before="Bearer ")},
    }

    assert resolved(part, HERE, {"Role": "arn:role"}, "secret") == {
        "a": ["arn:aws-cn:x:cn-north-1:123456789012:y", 3, True],
        "b": {"c": "arn:role", "d": "Bearer secret"},
    }


def test_a_token_that_nobody_knows_is_left_out() -> None:
    """So that what is there is not held against it, nor overwritten with nothing."""
    assert resolved({"b": {"c": 1, "d": Token()}}, HERE, {}, None) == {"b": {"c": 1}}


def test_a_template_says_the_same_in_its_own_words() -> None:
    """`!Sub`, `!GetAtt`, a secret by name, and what comes first."""
    rule = Resource(
        id="Rule",
        type="AWS::Events::Rule",
        name="r",
        after=("Group",),
        properties={"A": Sub(text="${AWS::Region}"), "B": [Arn(of="Role")], "C": Token(before="Bearer ")},
    )

    text = template([rule], about="all", parameters={})
    assert 'A: !Sub "${AWS::Region}"' in text
    assert "B: [!GetAtt Role.Arn]" in text
    assert 'C: !Sub "Bearer {{resolve:secretsmanager:${TokenSecret}}}"' in text
    assert "DependsOn: [Group]" in text


def test_differences_are_of_what_is_asked_for() -> None:
    """Properties that nobody asked for may be whatever they are."""
    assert differences({"a": 1, "b": {"c": 2}, "d": []}, {"a": 1, "b": {"c": 3}, "e": 5}) == ("b", "d")


def test_an_arn_without_a_region() -> None:
    """A role belongs to no region."""
    assert HERE.arn("iam", "role/x", everywhere=True) == "arn:aws-cn:iam::123456789012:role/x"
    assert HERE.arn("events", "rule/x") == "arn:aws-cn:events:cn-north-1:123456789012:rule/x"
