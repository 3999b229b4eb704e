"""query/expression: a filter is a tree or a refusal that names the character."""

import re
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.errors import BadRequest
from query.expression.kinds import check
from query.expression.parser import parse
from query.expression.tokens import WORDS
from query.expression.tree import (
    Among,
    Arithmetic,
    Between,
    Compare,
    Is,
    Joined,
    Negative,
    Not,
    Number,
    TagValue,
    Text,
    every,
    tags_of,
)
from storage_engine.sample import ValueType

sys.path.insert(0, str(Path(__file__).parent))
from filters import ANY

A, B = TagValue("a"), TagValue("b")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("{a} > 80", Compare(">", A, Number(80))),
        (
            "{temp} > 80 AND {state}='RUN'",
            Joined(
                "and",
                (
                    Compare(">", TagValue("temp"), Number(80)),
                    Compare("=", TagValue("state"), Text("RUN")),
                ),
            ),
        ),
        ("{a{{1}}} is Null", Is(TagValue("a{1}"), "null")),
        ("{a} = 'it''s'", Compare("=", A, Text("it's"))),
        ("{a} is not good", Not(Is(A, "good"))),
        (
            "{a} not between -1 and 2.5",
            Not(Between(A, Negative(Number(1)), Number(2.5))),
        ),
        ("{a} not in (1, {b})", Not(Among(A, (Number(1), B)))),
        ("not {a} in (1)", Not(Among(A, (Number(1),)))),
        (
            "{a} or {b} and not {a}",
            Joined("or", (A, Joined("and", (B, Not(A))))),
        ),
        (
            "{a} - 1 - 2 * {b} < 1e3",
            Compare(
                "<",
                Arithmetic(
                    "-",
                    Arithmetic("-", A, Number(1)),
                    Arithmetic("*", Number(2), B),
                ),
                Number(1000.0),
            ),
        ),
    ],
)
def test_a_text_is_read_as_people_mean_it(text, tree):
    """And binds before or, not before both, products before sums, from left to right."""
    assert parse(text) == tree


def test_whole_numbers_stay_exact():
    """A serial or a counter beyond 2**53 is not a double."""
    assert parse("{a} = 9007199254740993").right == Number(9007199254740993)
    assert isinstance(parse("{a} = 1").right.value, int)
    assert isinstance(parse("{a} = 1.0").right.value, float)


def test_nodes_know_where_they_stand():
    """What is refused later is refused with its character."""
    places = {str(node): node.at for node in every(parse("{a} > 80 and {b} = 1"))}

    assert places["{b}"] == 13
    assert places["80"] == 6
    assert tags_of(parse("{b} > {a} and {b} < 1")) == ("b", "a")


@settings(max_examples=400, deadline=None)
@given(tree=ANY)
def test_a_printed_tree_is_read_as_the_same_tree(tree):
    """Also with names and texts of braces, quotes and anything else."""
    assert parse(str(tree)) == tree


_PIECES = st.sampled_from(
    [*WORDS, *"(),+-*/=<>!{}' .e", "!=", "<=", "{a}", "{b}", "'x'", "1", "2.5", "1e9", "\n"]
)


@settings(max_examples=600, deadline=None)
@given(text=st.one_of(st.lists(_PIECES, max_size=30).map(" ".join), st.text(max_size=40)))
def test_any_text_is_a_tree_or_refused_at_a_character(text):
    """Nothing else comes out, and what is read prints as something that reads the same."""
    try:
        tree = parse(text)
    except BadRequest as error:
        tree, refused = None, error
    if tree is not None:
        assert parse(str(tree)) == tree
    else:
        assert re.fullmatch(r"where, character \d+", refused.where)
        assert int(refused.where.split()[-1]) <= len(text)


@pytest.mark.parametrize(
    ("text", "at", "got", "want"),
    [
        ("", 0, "the end", "a tag"),
        ("{a} >", 5, "the end", "a tag"),
        ("{a} > 80 {b}", 9, "the tag {b}", "and, or"),
        ("{a > 80", 7, "the end", "closing brace"),
        ("{} > 1", 0, "{}", "name of a tag"),
        ("{a} = 'x", 8, "the end", "closing quote"),
        ("temp > 80", 0, "'temp'", "a tag in braces"),
        ("{a} > 1.", 8, "a point", "a digit"),
        ("{a} > 1e", 8, "an exponent", "a digit"),
        ("{a} > 1e999", 6, "5 characters", "double"),
        ("{a} ; {b}", 4, "';'", "a sign"),
        ("({a} > 1", 8, "the end", "')'"),
        ("{a} in 1", 7, "the number '1'", "'('"),
        ("{a} in (1 2)", 10, "the number '2'", "','"),
        ("{a} between 1 or 2", 14, "'or'", "'and'"),
        ("{a} is 1", 7, "the number '1'", "null, good"),
        ("{a} + 1 is null", 4, "computed", "a tag"),
        ("{a} not 1", 8, "the number '1'", "'between' or 'in'"),
        ("2 * not {a} > 1", 4, "'not'", "a number"),
        ("{a} + 1", 4, "a number", "a condition"),
        ("1 < {a} < 3", 2, "a condition", "a value"),
        ("({a} > 1) + 1 > 0", 5, "a condition", "a value"),
        ("{a} + 'x' > 1", 6, "a text", "a number"),
        ("'x' = 1", 6, "a number", "a text"),
        ("{a} > 'x'", 6, "a text", "only compared by ="),
        ("abs(1, 2) = 1", 7, "2 numbers", "one number"),
        ("true + 1 = 2", 0, "true or false", "a number"),
    ],
)
def test_a_refusal_names_the_character_what_stands_there_and_what_could(text, at, got, want):
    """Nobody hunts for a comma in 4,000 characters."""
    with pytest.raises(BadRequest) as refused:
        parse(text)

    assert refused.value.where == f"where, character {at}"
    assert got in str(refused.value.got)
    assert want in refused.value.want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("{a} = '" + "x" * 4_000 + "'", "at most 4000"),
        ("(" * 65 + "{a}" + ")" * 65, "at most 64"),
        ("not " * 65 + "{a}", "at most 64"),
        ("-" * 65 + "{a} = 1", "at most 64"),
        ("1" + "+1" * 65 + " = 1", "at most 64"),
        ("{a} = " + "(1" + "+1)" * 3 + "".join("+(1+1)" for _ in range(70)), "and, or"),
        (" and ".join(f"{{t{i}}}" for i in range(51)), "at most 50"),
    ],
)
def test_length_depth_and_tags_are_bounded(text, want):
    """A text from outside makes no stack overflow and no thousand reads."""
    with pytest.raises(BadRequest) as refused:
        parse(text)

    assert want in refused.value.want


def test_as_deep_and_as_wide_as_allowed_is_read():
    """The bounds hold what they promise, and a long row of conditions is no depth."""
    assert parse("(" * 64 + "{a}" + ")" * 64) == A
    assert tags_of(parse(" and ".join(f"{{t{i}}}" for i in range(50))))
    assert len(parse(" or ".join("{a}" for _ in range(400))).operands) == 400


@pytest.mark.parametrize(
    ("text", "at", "got"),
    [
        ("{t} > 1", 0, "a text, tag 't'"),
        ("{n} > 1 and {t} = 5", 18, "a number"),
        ("{n} = {t}", 6, "a text, tag 't'"),
        ("{n} and {b}", 0, "a number, tag 'n'"),
        ("{t} < 'x'", 6, "a text"),
        ("{n} + {t} > 1", 6, "a text, tag 't'"),
        ("{y} = 'x'", 0, "bytes, tag 'y'"),
    ],
)
def test_types_of_tags_are_checked_with_the_character(text, at, got):
    """A text against a number is a mistake, not false."""
    types = {
        "t": ValueType.TEXT,
        "n": ValueType.INT64,
        "b": ValueType.BOOL,
        "y": ValueType.BYTES,
    }

    with pytest.raises(BadRequest) as refused:
        check(parse(text), types)

    assert refused.value.where == f"where, character {at}"
    assert refused.value.got == got
    check(parse("{b} and {t} = 'x' and {n} > 1 and {b} = true and {y} is good"), types)
