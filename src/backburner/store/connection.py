"""A thin connection: statements written in SQLAlchemy Core, compiled once, sent to the driver as they are.

Sending the hot statements through SQLAlchemy's own execution costs more than the database does (see
docs/decisions/0002-raw-statements.md).
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from operator import itemgetter
from sys import intern
from typing import Any

from sqlalchemy import ColumnElement, Delete, Dialect, Engine, Insert, Update, bindparam
from sqlalchemy.sql import ClauseElement

from .arrays import any_of, from_arrays, literal

log = logging.getLogger("backburner.store")

Row = tuple[Any, ...]
Sql = tuple[str, tuple[str, ...], dict[str, Any]]
"""A statement, the order of its parameters, and the values of those that it brings itself."""
Clock = Callable[[], int]
"""Reads a time on the database's clock, microseconds since the epoch."""
Among = Callable[[ColumnElement[Any]], ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Language:
    """How a database is spoken to. ``arrays``: whether a whole column of values can be one parameter; ``skips_locked``:
    whether others pass over rows that somebody holds; ``insert`` is the dialect's own insert, which knows
    ``ON CONFLICT``."""

    dialect: Dialect
    arrays: bool
    skips_locked: bool
    insert: Callable[[Any], Any]
    engine_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.dialect.name

    @property
    def url(self) -> str:
        """For an engine of SQLAlchemy's that gets its connections from elsewhere."""
        return f"{self.dialect.name}+{self.dialect.driver}://"


WIDE = 16
"""Rows of one insert where there are no arrays."""


class Statement:
    """One statement; its parameters are given by name. Compiled at its first use in each language.

    ``clause`` may be a function from the language's own ``insert`` to the clause. ``same``: the parameters that do not
    differ among the rows of a call (see `Connection.many`).
    """

    __slots__ = ("__weakref__", "_bulk", "_clause", "_same", "_single", "_wide")

    def __init__(
        self,
        clause: ClauseElement | Callable[[Callable[[Any], Any]], ClauseElement],
        same: Collection[str] = (),
        of_family: bool = False,
    ) -> None:
        if not of_family:  # which has it compiled as it is used
            _written.append(weakref.ref(self))
        self._clause = clause
        self._same = same
        self._single: dict[str, Sql] = {}
        self._bulk: dict[str, Sql] = {}
        self._wide: dict[str, str | None] = {}

    def single(self, language: Language) -> Sql:
        found = self._single.get(language.name)
        if found is None:
            found = self._single[language.name] = _compile(self.clause(language), language)
        return found

    def bulk(self, language: Language) -> Sql:
        """For many rows at once, each parameter an array."""
        found = self._bulk.get(language.name)
        if found is None:
            clause: Any = self.clause(language)
            found = self._bulk[language.name] = _compile(from_arrays(clause, self._same), language)
        return found

    def wide(self, language: Language) -> str | None:
        """An insert of `WIDE` rows at once, None where it is no plain insert: each row less that the driver steps
        through is a time less that it gives the interpreter away."""
        if language.name not in self._wide:
            sql, names, _ = self.single(language)
            row = f"({', '.join('?' * len(names))})"
            plain = isinstance(self.clause(language), Insert) and sql.endswith(f" VALUES {row}")
            self._wide[language.name] = f"{sql}, {', '.join([row] * (WIDE - 1))}" if plain else None
        return self._wide[language.name]

    def rehearse(self, language: Language) -> None:
        self.single(language)
        if _takes_rows(self._clause):
            self.bulk(language) if language.arrays else self.wide(language)

    def clause(self, language: Language) -> ClauseElement:
        return self._clause if isinstance(self._clause, ClauseElement) else self._clause(language.insert)


def _takes_rows(clause: Any) -> bool:
    """Whether it may be executed for many rows at once."""
    if not isinstance(clause, Insert | Update | Delete) or clause._returning:
        return False
    return not isinstance(clause, Insert) or clause.select is None


def _compile(clause: ClauseElement, language: Language) -> Sql:
    compiled: Any = clause.compile(dialect=language.dialect)
    constants = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
    return str(compiled), tuple(map(intern, compiled.positiontup or ())), constants


_written: list[weakref.ref[Statement | Family]] = []
"""Other threads add to it at any moment: whoever goes through it goes through a copy."""


def rehearse(language: Language) -> None:
    """Compile everything that is written in this package. What cannot be compiled is logged, and fails who uses it.

    The first claim would else spend 40 ms on it inside its transaction, while every other process waits.
    """
    for family in [each() for each in _written.copy()]:
        if isinstance(family, Family):
            _try(family.grow, language)
    for statement in [each() for each in _written.copy()]:
        if isinstance(statement, Statement):
            _try(statement.rehearse, language)


def _try(compiling: Callable[[Language], None], language: Language) -> None:
    try:
        compiling(language)
    except Exception:
        log.exception("a statement cannot be compiled for %s", language.name)


class Connection:
    """What the store's functions write through and read from."""

    def __init__(self, raw: Any, language: Language, clock: Callable[[Any], int] | None = None) -> None:
        self.raw = raw
        self.language = language
        self._clock = clock
        self.engine: Engine | None = None
        """SQLAlchemy on this connection, once somebody has asked for it (see `session`)."""

    def now(self) -> int:
        """The time on the database's clock, for a read; a write has its batch's."""
        assert self._clock is not None, "only a reader's connection has a clock"
        return self._clock(self.raw)

    def close(self) -> None:
        """Release what was made for this connection; the driver's own is closed by whoever opened it."""
        if self.engine is not None:
            self.engine.dispose()

    def send(self, statement: Statement, **parameters: Any) -> None:
        """Execute where nobody asks for an answer; an error may show at the next statement, or at the commit."""
        sql, names, constants = statement.single(self.language)
        self.raw.execute(sql, _values(names, constants, parameters))

    def begin(self, statement: Statement, **parameters: Any) -> Any:
        """A cursor whose rows are to be fetched after other questions were sent, before the next write."""
        sql, names, constants = statement.single(self.language)
        return self.raw.execute(sql, _values(names, constants, parameters))

    def run(self, statement: Statement, **parameters: Any) -> int:
        """Execute; answers how many rows it touched."""
        sql, names, constants = statement.single(self.language)
        return int(self.raw.execute(sql, _values(names, constants, parameters)).rowcount)

    def many(self, statement: Statement, rows: Sequence[dict[str, Any]], **same: Any) -> None:
        """Execute once for each row; every row has the same names, and ``same`` goes with each of them."""
        if not rows:
            return
        if self.language.arrays and len(rows) > 1:
            sql, names, constants = statement.bulk(self.language)
            arrays = {name: literal(list(map(itemgetter(name), rows))) for name in rows[0]}
            self.raw.execute(sql, _values(names, constants, {**same, **arrays}))
            return
        sql, names, constants = statement.single(self.language)
        if self.language.arrays:
            self.raw.execute(sql, _values(names, constants, {**same, **rows[0]}))
            return
        fixed = {**constants, **same}
        columns = [map(itemgetter(name), rows) if name in rows[0] else repeat(fixed[name]) for name in names]
        values: Iterable[Any] = zip(*columns, strict=False)
        wide = statement.wide(self.language) if len(rows) >= WIDE else None
        if wide is not None:
            flat = list(chain.from_iterable(values))
            step = WIDE * len(names)
            whole = len(flat) // step * step
            for start in range(0, whole, step):
                self.raw.execute(wide, flat[start : start + step])
            values = zip(*[iter(flat[whole:])] * len(names), strict=True)
        self.raw.executemany(sql, values)

    def all(self, statement: Statement, **parameters: Any) -> list[Row]:
        sql, names, constants = statement.single(self.language)
        rows: list[Row] = self.raw.execute(sql, _values(names, constants, parameters)).fetchall()
        return rows

    def one(self, statement: Statement, **parameters: Any) -> Row | None:
        sql, names, constants = statement.single(self.language)
        row: Row | None = self.raw.execute(sql, _values(names, constants, parameters)).fetchone()
        return row

    def ask(self, sql: str) -> Row:
        """The first row of what is asked in the database's own words."""
        row: Row = self.raw.execute(sql).fetchone()
        return row

    def each(self, family: Family, values: Sequence[str]) -> None:
        """Execute a statement for any number of values; nobody asks for an answer."""
        if self.language.arrays:
            if values:
                self.send(family.with_array(), **{ARRAY: literal(values)})
            return
        for statement, parameters in family.over(values):
            self.send(statement, **parameters)

    def among(self, family: Family, values: Sequence[str], **parameters: Any) -> list[Row]:
        """The rows of a statement for any number of values."""
        if self.language.arrays:
            return self.all(family.with_array(), **{ARRAY: literal(values)}, **parameters) if values else []
        rows: list[Row] = []
        for statement, these in family.over(values):
            rows += self.all(statement, **these, **parameters)
        return rows


ARRAY = "among"


WIDEST = 64
PLACES = [intern(f"in{number}") for number in range(WIDEST)]
"""The names of values among others, the same ones everywhere."""


class Family:
    """A statement that asks for one of several values: ``build`` is handed a function that makes the condition.

    Where there are no arrays it is an ``IN`` list, compiled for a few lengths only; shorter ones repeat
    their last value. The expressions are not kept: those of every length were 2 MB.
    """

    def __init__(self, build: Callable[[Among], ClauseElement]) -> None:
        _written.append(weakref.ref(self))
        self._build = build
        self._members: dict[int, tuple[Statement, list[str]]] = {}
        self._array: Statement | None = None

    def grow(self, language: Language) -> None:
        """Compile every width."""
        if language.arrays:
            self.with_array().single(language)
            return
        width = 1
        while width <= WIDEST:
            self.of(width)[0].single(language)
            width *= 2

    def with_array(self) -> Statement:
        if self._array is None:
            self._array = Statement(lambda _: self._build(lambda column: any_of(column, ARRAY)), of_family=True)
        return self._array

    def over(self, values: Sequence[str]) -> Iterator[tuple[Statement, dict[str, str]]]:
        """What to execute for these values, where there are no arrays."""
        for start in range(0, len(values), WIDEST):
            part = values[start : start + WIDEST]
            statement, names = self.of(len(part))
            padded = [*part, *[part[-1]] * (len(names) - len(part))]
            yield statement, dict(zip(names, padded, strict=True))

    def of(self, count: int) -> tuple[Statement, list[str]]:
        width = 1 << (count - 1).bit_length()
        found = self._members.get(width)
        if found is None:
            names = PLACES[:width]

            def clause(_: Any) -> ClauseElement:
                return self._build(lambda column: column.in_([bindparam(name) for name in names]))

            found = Statement(clause, of_family=True), names
            self._members[width] = found
        return found


def _values(names: tuple[str, ...], constants: dict[str, Any], parameters: dict[str, Any]) -> tuple[Any, ...]:
    if not constants:
        return tuple([parameters[name] for name in names])
    return tuple([parameters[name] if name in parameters else constants[name] for name in names])
