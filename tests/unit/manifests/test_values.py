"""Types of parameters: which texts they take, and what fits where."""

import pytest

from headwater.manifests.values import (
    LONGEST_VALUE,
    ParameterType,
    WrongValue,
    canonical,
    misfit,
)

STRING, INTEGER, BOOLEAN, LIST, SECRET = ParameterType


@pytest.mark.parametrize(
    ("type", "text", "value"),
    [
        (STRING, " as it is\n", " as it is\n"),
        (STRING, "", ""),
        (SECRET, "line 1\nline 2\n", "line 1\nline 2\n"),
        (INTEGER, "42", "42"),
        (INTEGER, "+007\n", "7"),
        (INTEGER, "-0", "0"),
        (INTEGER, str(-(2**63)), str(-(2**63))),
        (BOOLEAN, "True", "true"),
        (BOOLEAN, "false\n", "false"),
        (LIST, "a\nb\n", "a\nb"),
        (LIST, "", ""),
        (LIST, "a\n\nc", "a\n\nc"),
        (STRING, "x" * LONGEST_VALUE, "x" * LONGEST_VALUE),
    ],
)
def test_a_value_has_one_form(type, text, value):
    assert canonical(type, text) == value
    assert canonical(type, value) == (value if type is not LIST else value.removesuffix("\n"))


@pytest.mark.parametrize(
    ("type", "text", "words"),
    [
        (INTEGER, "", "is an integer of 64 bits, and '' is not"),
        (INTEGER, "1.5", "is an integer of 64 bits, and '1.5' is not"),
        (INTEGER, "1_000", "is an integer of 64 bits, and '1_000' is not"),
        (INTEGER, "٤٢", "is an integer of 64 bits, and '٤٢' is not"),
        (INTEGER, str(2**63), f"is an integer of 64 bits, and '{2**63}' is not"),
        (INTEGER, "9" * 5000, f"is an integer of 64 bits, and '{'9' * 37}...' is not"),
        (BOOLEAN, "yes", "is true or false, and 'yes' is neither"),
        (STRING, "a\0b", "is binary (it holds a NUL): encode it, with base64 for example"),
        (SECRET, "a\0b", "is binary (it holds a NUL): encode it, with base64 for example"),
        (SECRET, "é" * 40000, "has 80000 bytes; a value has at most 65536"),
    ],
)
def test_a_text_of_another_form_is_refused_in_words(type, text, words):
    with pytest.raises(WrongValue) as refused:
        canonical(type, text)

    assert str(refused.value) == words


def test_what_fits_into_which_input():
    """Rows: one output, then all instances' outputs; columns: the types of the input."""
    table = {
        (source, every): [
            target for target in ParameterType if not misfit(source, target, every=every)
        ]
        for every in (False, True)
        for source in ParameterType
    }

    assert table == {
        (STRING, False): [STRING],
        (INTEGER, False): [STRING, INTEGER],
        (BOOLEAN, False): [STRING, BOOLEAN],
        (LIST, False): [STRING, LIST],
        (SECRET, False): [SECRET],
        (STRING, True): [STRING, LIST],
        (INTEGER, True): [STRING, LIST],
        (BOOLEAN, True): [STRING, LIST],
        (LIST, True): [STRING, LIST],
        (SECRET, True): [SECRET],
    }
