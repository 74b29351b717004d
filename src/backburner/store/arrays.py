"""Statements over many rows where the database takes arrays: one round trip, however many rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import NoneType
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    Boolean,
    ColumnElement,
    Float,
    Insert,
    Integer,
    Text,
    bindparam,
    column,
    func,
    select,
)
from sqlalchemy.sql import visitors
from sqlalchemy.types import NullType, TypeEngine


def any_of(left: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """``left`` is one of the values in the array parameter ``name``."""
    condition: ColumnElement[bool] = left == func.any(bindparam(name, type_=ARRAY(_plain(left.type))))
    return condition


def literal(values: Sequence[Any]) -> str:
    """The values as an array in PostgreSQL's text form (its manual, 8.15.6): the driver's own way to write an array
    takes ten times as long, and a look at each value three times."""
    kinds = set(map(type, values))
    if kinds == {str}:
        return _texts(values)
    if kinds <= {int, bool}:
        return "{" + ",".join(map(str, values)) + "}"
    if kinds == {NoneType}:
        return "{" + ",".join(["NULL"] * len(values)) + "}"
    return "{" + ",".join([_element(value) for value in values]) + "}"


def _texts(values: Sequence[str]) -> str:
    joined = BETWEEN.join(values)
    if joined.count(BETWEEN) != len(values) - 1:
        return "{" + ",".join([_element(value) for value in values]) + "}"
    if "\\" in joined or '"' in joined:
        joined = _escaped(joined)
    return '{"' + joined.replace(BETWEEN, '","') + '"}'


BETWEEN = "\0"
"""Stands in no value: PostgreSQL refuses it."""


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return f'"{_escaped(value)}"'
    return repr(value) if isinstance(value, float) else str(value)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def from_arrays(clause: Any, same: Collection[str] = ()) -> Any:
    """The statement with each of its parameters an array, save those that are the ``same`` throughout; it is executed
    once for each place in the arrays.

    A parameter whose type cannot be told from the clause must have one of its own.
    """
    types = {bind.key: target.type for target, bind in _values(clause).items()}
    if not isinstance(clause, Insert):
        for element in visitors.iterate(clause):
            if isinstance(element, BindParameter) and element.required:
                types.setdefault(element.key, element.type)
    rows = _rows({name: kind for name, kind in types.items() if name not in same})
    source = {name: bindparam(name, type_=_plain(types[name])) if name in same else rows.c[name] for name in types}
    if isinstance(clause, Insert):
        return _insert(clause, rows, source)

    def replace(element: Any, **_: Any) -> Any:
        return source[element.key] if isinstance(element, BindParameter) and element.required else None

    return visitors.replacement_traverse(clause, {}, replace)


def _values(clause: Any) -> dict[Any, BindParameter[Any]]:
    """Column → parameter, where a column is set to a parameter as it is."""
    found: dict[Any, BindParameter[Any]] = {}
    for target, value in (getattr(clause, "_values", None) or {}).items():
        if isinstance(value, BindParameter) and value.required:
            found[clause.table.c[target] if isinstance(target, str) else target] = value
    return found


def _insert(clause: Insert, rows: Any, source: Mapping[str, Any]) -> Any:
    values = _values(clause)
    chosen = select(*(source[bind.key] for bind in values.values())).select_from(rows)
    return Insert(clause.table).from_select([each.name for each in values], chosen, include_defaults=False)


def _rows(types: dict[str, TypeEngine[Any]]) -> Any:
    plain = {name: _plain(kind) for name, kind in types.items()}
    arrays = [bindparam(name, type_=ARRAY(kind)) for name, kind in plain.items()]
    columns = [column(name, kind) for name, kind in plain.items()]
    return func.unnest(*arrays).table_valued(*columns).render_derived(name="given")


def _plain(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    if isinstance(kind, NullType):
        raise TypeError("a parameter of a bulk statement needs a type")
    for plain in (BigInteger, Integer, Float, Boolean):
        if isinstance(kind, plain):
            return plain()
    return Text()
