"""Trees of filters at random, of every kind of node."""

from hypothesis import strategies as st

from query.expression.tree import (
    Among,
    Arithmetic,
    Between,
    Call,
    Compare,
    Is,
    Joined,
    Negative,
    Not,
    Number,
    TagValue,
    Text,
    Truth,
)

COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")
STATES = ("null", "good", "bad", "uncertain")


def numbers(tags, values, depth=2, linear=None):
    """Numbers, computed ones among them.

    Parameters
    ----------
    tags, values : strategy
        Names of numeric tags, and numbers from 0.
    linear : strategy, optional
        Names of tags that may stand in products and quotients; by default ``tags``.
    """
    plain = st.one_of(st.builds(TagValue, tags), st.builds(Number, values))
    if depth == 0:
        return plain
    below = numbers(tags, values, depth - 1, linear)
    held = below if linear is None else numbers(linear, values, depth - 1)
    return st.one_of(
        plain,
        st.builds(Negative, below),
        st.builds(Arithmetic, st.sampled_from("+-"), below, below),
        st.builds(Arithmetic, st.sampled_from("*/"), below, held),
        st.builds(Call, st.just("abs"), st.tuples(below)),
        st.builds(
            Call,
            st.sampled_from(["min", "max"]),
            st.lists(below, min_size=1, max_size=3).map(tuple),
        ),
    )


def conditions(number, texts, truths, states, depth=3):
    """Conditions over numbers, pairs of texts, boolean tags and states of tags."""
    several = st.lists(number, min_size=1, max_size=3).map(tuple)
    leaf = st.one_of(
        st.builds(Compare, st.sampled_from(COMPARISONS), number, number),
        st.builds(Between, number, number, number),
        st.builds(Among, number, several),
        st.builds(Compare, st.sampled_from(("=", "!=")), texts, texts),
        st.builds(Among, texts, st.lists(texts, min_size=1, max_size=3).map(tuple)),
        st.builds(Is, st.builds(TagValue, states), st.sampled_from(STATES)),
        st.builds(Truth, st.booleans()),
        st.builds(TagValue, truths),
    )
    if depth == 0:
        return leaf
    below = conditions(number, texts, truths, states, depth - 1)
    parts = st.lists(below, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        leaf, st.builds(Not, below), st.builds(Joined, st.sampled_from(["and", "or"]), parts)
    )


NAMES = st.text(min_size=1, max_size=8)
ANY_NUMBER = numbers(NAMES, st.one_of(st.integers(0, 2**70), st.floats(0, allow_infinity=False)))
ANY_TEXT = st.one_of(st.builds(Text, st.text(max_size=8)), st.builds(TagValue, NAMES))
ANY = conditions(ANY_NUMBER, ANY_TEXT, NAMES, NAMES)
