"""A thin connection: statements written in SQLAlchemy Core, compiled once, sent to the driver as they are.

Sending the hot statements through SQLAlchemy's own execution costs more than the database does (see
docs/decisions/0002-raw-statements.md).
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Dialect, bindparam
from sqlalchemy.sql import ClauseElement

Row = tuple[Any, ...]


class Statement:
    """One statement; its parameters are given by name. Compiled at its first use on each dialect."""

    __slots__ = ("__weakref__", "_clause", "_compiled")

    def __init__(self, clause: ClauseElement) -> None:
        _written.add(self)
        self._clause = clause
        self._compiled: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {}

    def compiled(self, dialect: Dialect) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        """The SQL, the order of its parameters, and the values of those that the clause itself brings."""
        found = self._compiled.get(dialect.name)
        if found is None:
            compiled: Any = self._clause.compile(dialect=dialect)
            names = tuple(compiled.positiontup or ())
            constants = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
            found = self._compiled[dialect.name] = (str(compiled), names, constants)
        return found


_written: weakref.WeakSet[Statement | Family] = weakref.WeakSet()


def rehearse(dialect: Dialect) -> None:
    """Compile everything that is written in this package.

    The first claim would else spend 40 ms on it inside its transaction, while every other process waits.
    """
    for each in list(_written):
        if isinstance(each, Family):
            each.grow()
    for each in list(_written):
        if isinstance(each, Statement):
            each.compiled(dialect)


class Connection:
    """What the store's functions write through and read from."""

    def __init__(self, raw: Any, dialect: Dialect) -> None:
        self.raw = raw
        self.dialect = dialect

    def run(self, statement: Statement, **parameters: Any) -> int:
        """Execute; answers how many rows it touched."""
        sql, names, constants = statement.compiled(self.dialect)
        cursor = self.raw.execute(sql, _values(names, constants, parameters))
        return int(cursor.rowcount)

    def many(self, statement: Statement, rows: Sequence[dict[str, Any]]) -> None:
        """Execute once for each row; every row has the same names."""
        if not rows:
            return
        sql, names, constants = statement.compiled(self.dialect)
        if constants:
            rows = [{**constants, **row} for row in rows]
        if len(names) == 1:
            name = names[0]
            values: Iterable[Any] = [(row[name],) for row in rows]
        else:
            values = map(itemgetter(*names), rows)
        self.raw.executemany(sql, values)

    def all(self, statement: Statement, **parameters: Any) -> list[Row]:
        sql, names, constants = statement.compiled(self.dialect)
        rows: list[Row] = self.raw.execute(sql, _values(names, constants, parameters)).fetchall()
        return rows

    def one(self, statement: Statement, **parameters: Any) -> Row | None:
        sql, names, constants = statement.compiled(self.dialect)
        row: Row | None = self.raw.execute(sql, _values(names, constants, parameters)).fetchone()
        return row

    def among(self, family: Family, values: Sequence[str], **parameters: Any) -> list[Row]:
        """The rows of a statement with an ``IN`` over any number of values."""
        rows: list[Row] = []
        for start in range(0, len(values), Family.WIDEST):
            part = values[start : start + Family.WIDEST]
            statement, names = family.of(len(part))
            padded = [*part, *[part[-1]] * (len(names) - len(part))]
            rows += self.all(statement, **dict(zip(names, padded, strict=True)), **parameters)
        return rows


class Family:
    """A statement with an ``IN`` list, compiled for a few lengths only; shorter lists repeat their last value."""

    WIDEST = 64

    def __init__(self, build: Any) -> None:
        _written.add(self)
        self._build = build
        self._members: dict[int, tuple[Statement, list[str]]] = {}

    def grow(self) -> None:
        """Build every width."""
        width = 1
        while width <= self.WIDEST:
            self.of(width)
            width *= 2

    def of(self, count: int) -> tuple[Statement, list[str]]:
        width = 1 << (count - 1).bit_length()
        found = self._members.get(width)
        if found is None:
            names = [f"in{number}" for number in range(width)]
            found = Statement(self._build([bindparam(name) for name in names])), names
            self._members[width] = found
        return found


def _values(names: tuple[str, ...], constants: dict[str, Any], parameters: dict[str, Any]) -> tuple[Any, ...]:
    if not constants:
        return tuple([parameters[name] for name in names])
    return tuple([parameters[name] if name in parameters else constants[name] for name in names])
