import pytest

from engine.config.yaml_text import MAX_DEPTH, REFUSED, parse_yaml


def lines(text: str) -> list[str]:
    return [str(problem) for problem in parse_yaml(text, "f")[1]]


def test_values_come_with_the_lines_of_their_keys() -> None:
    document, problems = parse_yaml("a: 1\nb:\n  - x\n  - {c: 2.5}\n", "f")
    assert problems == []
    assert document is not None
    assert document.value == {"a": 1, "b": ["x", {"c": 2.5}]}
    assert document.lines == {("a",): 1, ("b",): 3, ("b", 0): 3, ("b", 1): 4, ("b", 1, "c"): 4}


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "~"])
def test_text_without_a_value_is_null(text: str) -> None:
    document, problems = parse_yaml(text, "f")
    assert problems == []
    assert document is not None
    assert document.value is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "a: 1\nb: 2\na: 3\n",
            "f:3: a: found the key a second time (first on line 1); allowed: each key once",
        ),
        (
            "x: {a: 1, 'a': {b: 1}}\n",
            "f:1: x.a: found the key a second time (first on line 1); allowed: each key once",
        ),
        (
            "a: &x [1]\n",
            "f:1: a: found an anchor or alias; allowed: values written out where they are used",
        ),
        (
            "a: *x\n",
            "f:1: a: found an anchor or alias; allowed: values written out where they are used",
        ),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            (
                "f:1: a: found a tag; allowed: plain values, text in quotes where YAML reads it "
                "otherwise"
            ),
        ),
        (
            "a: !!str 5\n",
            (
                "f:1: a: found a tag; allowed: plain values, text in quotes where YAML reads it "
                "otherwise"
            ),
        ),
        (
            "a: 1\n---\nb: 2\n",
            "f:2: found a second document; allowed: one document a file",
        ),
        (
            "no: 1\n",
            (
                "f:1: found the key 'no', which YAML reads as another type than text; allowed: "
                "text as key, in quotes if need be"
            ),
        ),
        ("? [a]\n: 1\n", "f:1: found a mapping or list used as a key; allowed: text as key"),
        (
            "a: 010\n",
            (
                "f:1: a: found a number that YAML reads in base 8 or 60; allowed: a decimal "
                "number, or text in quotes"
            ),
        ),
        (
            "a: 1:30\n",
            (
                "f:1: a: found a number that YAML reads in base 8 or 60; allowed: a decimal "
                "number, or text in quotes"
            ),
        ),
        (
            "a: 2024-13-45\n",
            "f:1: a: found a date or number that does not exist; allowed: one that does",
        ),
        (
            f"a: {'9' * 5000}\n",
            "f:1: a: found a date or number that does not exist; allowed: one that does",
        ),
        (
            "a: 1\nb: [1, 2\nc: 3\n",
            "f:3: found a syntax error (did not find expected ',' or ']'); allowed: YAML",
        ),
        (
            "a:\n\t- 1\n",
            (
                "f:2: found a syntax error (found character that cannot start any token); "
                "allowed: YAML"
            ),
        ),
        ("a: \x07\n", "f: found a character that YAML does not allow; allowed: YAML"),
        (
            "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
            (
                f"f:1: {'[0]' * (MAX_DEPTH - 1)}: found more than {MAX_DEPTH} levels; "
                "allowed: a flatter structure"
            ),
        ),
    ],
)
def test_yaml_that_hides_something_is_refused(text: str, problem: str) -> None:
    assert lines(text) == [problem]


def test_thousands_of_open_brackets_are_refused() -> None:
    assert len(lines("[" * 200_000)) == 1


def test_alias_bomb_is_refused_without_being_expanded() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n"
    for name, previous in zip("bcdefghi", "abcdefgh", strict=True):
        bomb += f"{name}: &{name} [{','.join([f'*{previous}'] * 9)}]\n"
    assert {line.split("found ")[1] for line in lines(bomb)} == {
        "an anchor or alias; allowed: values written out where they are used"
    }


def test_what_was_refused_leaves_the_rest_to_be_judged() -> None:
    document, problems = parse_yaml("a: *x\nb: 010\nc: 3\nno: {d: 1}\na: 4\n", "f")
    assert len(problems) == 4
    assert document is not None
    assert document.value == {"a": REFUSED, "b": REFUSED, "c": 3}


def test_text_in_quotes_stays_text() -> None:
    document, _ = parse_yaml("{a: 'no', b: \"010\", c: '', 'yes': '2024-01-01'}", "f")
    assert document is not None
    assert document.value == {"a": "no", "b": "010", "c": "", "yes": "2024-01-01"}
