"""What a notebook can call says what it takes, what it gives and what it raises (numpydoc's sections)."""

import ast
import inspect
import re
import textwrap

import pytest

import elec2water as e2w


def sections(text):
    """Split a docstring at its underlined headings."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", inspect.cleandoc(text or ""), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def names_in(section):
    heads = [line.split(" : ")[0] for line in section.splitlines() if line and not line.startswith(" ")]
    return [name.strip().lstrip("*") for head in heads for name in head.split(",")]


def raised_by(function, depth=2):
    """What a function and those of its module that it calls raise by name."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            found.add(getattr(node.exc.func, "id", getattr(node.exc.func, "attr", "")))
        if depth and isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called = getattr(inspect.getmodule(function), node.func.id, None)
            if inspect.isfunction(called) and called.__module__ == function.__module__:
                found |= raised_by(called, depth - 1)
    return found


def functions():
    for name in e2w.__all__:
        thing = getattr(e2w, name)
        if inspect.isfunction(thing):
            yield name, thing
        elif inspect.isclass(thing):
            for own, member in vars(thing).items():
                plain = getattr(member, "__func__", member)
                if inspect.isfunction(plain) and not own.startswith("_"):
                    yield f"{name}.{own}", plain


PUBLIC = dict(functions())
CLASSES = [name for name in e2w.__all__ if inspect.isclass(getattr(e2w, name))]


def test_sections_of_an_example():
    text = "Do.\n\n    Parameters\n    ----------\n    a, b : int\n        Two.\n    **rest\n"
    text += "\n    Returns\n    -------\n    int\n"
    assert names_in(sections(text)["Parameters"]) == ["a", "b", "rest"]
    assert sections(text)["Returns"].strip() == "int"


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_function_says_what_it_takes_gives_and_raises(name):
    function, said = PUBLIC[name], sections(PUBLIC[name].__doc__)
    signature = inspect.signature(function)
    taken = [parameter for parameter in signature.parameters if parameter not in ("self", "cls")]
    assert sorted(names_in(said.get("Parameters", ""))) == sorted(taken)
    if signature.return_annotation not in (None, "None", inspect.Signature.empty):
        assert said.get("Returns", "").strip()
    assert all(error in said.get("Raises", "") for error in raised_by(function))


@pytest.mark.parametrize("name", CLASSES)
def test_a_public_class_names_what_it_holds(name):
    held = getattr(e2w, name)
    said = sections(held.__doc__)
    if not issubclass(held, Exception):
        assert said.keys() & {"Attributes", "Parameters"}
        fields = [field for field in getattr(held, "__dataclass_fields__", {}) if not field.startswith("_")]
        assert set(fields) <= set(names_in(said.get("Attributes", "") + "\n" + said.get("Parameters", "")))
    properties = {own: member for own, member in vars(held).items() if isinstance(member, property)}
    assert [own for own, member in properties.items() if not own.startswith("_") and not member.__doc__] == []
