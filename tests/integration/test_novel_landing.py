"""How what an analysis found is merged into the novel's tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from backburner import Fail
from backburner_apps.novel.landing import land
from backburner_apps.novel.tables import (
    Analysis,
    Chapter,
    Character,
    CharacterState,
    Foreshadowing,
    Novel,
    Table,
    WorldEntry,
)


@pytest.fixture
def session() -> Iterator[Session]:
    engine = create_engine("sqlite://")
    Table.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Novel(id=1, title="T", author="A", language="en", premise=""))
        session.flush()
        for number in (1, 2, 3):
            session.add(Chapter(id=10 + number, novel_id=1, number=number, title="", text="", summary=""))
        session.flush()
        yield session
    engine.dispose()


def land_in(session: Session, number: int, part: str, *items: dict[str, Any]) -> None:
    land(session, 10 + number, part, f"job-{number}", list(items), "model", "m")
    session.flush()


def stands(name: str, state: str, first: int, *aliases: str) -> dict[str, Any]:
    return {
        "name": name,
        "aliases": list(aliases),
        "state": state,
        "last_action": "",
        "with_whom": [],
        "where": None,
        "first_chapter": first,
    }


def thread(name: str, status: str, first: int) -> dict[str, Any]:
    return {"object": name, "status": status, "evidence": f"{name} {status}", "first_chapter": first}


def one(session: Session, table: type[Any]) -> Any:
    return session.scalars(select(table)).one()


def test_a_character_stands_as_the_latest_chapter_left_him(session: Session) -> None:
    land_in(session, 2, "character_states", stands("Mara Voss", "angry", 2))
    land_in(session, 1, "character_states", stands("Mara Voss", "calm", 1))
    character = one(session, Character)
    assert (character.state, character.first_chapter, character.last_chapter) == ("angry", 1, 2)
    land_in(session, 3, "character_states", stands("Mara Voss", "gone", 1))
    assert (character.state, character.last_chapter) == ("gone", 3)


def test_a_character_met_under_another_name_is_the_same(session: Session) -> None:
    land_in(session, 1, "character_states", stands("Mara Voss", "calm", 1, "Mara"))
    land_in(session, 2, "character_states", stands("Mara", "angry", 1, "Miss Voss"))
    character = one(session, Character)
    assert (character.name, character.aliases, character.state) == ("Mara Voss", ["Mara", "Miss Voss"], "angry")


def test_each_chapters_states_are_kept_and_replaced_when_it_is_analysed_again(session: Session) -> None:
    land_in(session, 1, "character_states", stands("Mara", "calm", 1), stands("Ada", "tired", 1))
    land_in(session, 2, "character_states", stands("Mara", "angry", 1))
    land_in(session, 1, "character_states", stands("Mara", "asleep", 1))
    found = session.execute(select(CharacterState.chapter_id, CharacterState.state).order_by(CharacterState.chapter_id))
    assert [tuple(row) for row in found] == [(11, "asleep"), (12, "angry")]


def test_what_a_model_names_twice_counts_once(session: Session) -> None:
    land_in(session, 1, "character_states", stands("Mara", "calm", 1), stands(" Mara ", "angry", 1))
    assert one(session, CharacterState).state == "calm"
    entry = {"kind": "place", "name": "Mill", "detail": "It stands still.", "evidence": "", "first_chapter": 1}
    land_in(session, 1, "world", entry, entry)
    assert one(session, WorldEntry).detail == "It stands still."


def test_extraction_does_not_overwrite_what_a_model_has_said_of_a_place(session: Session) -> None:
    told = {"kind": "place", "name": "Mill", "detail": "It stands still.", "evidence": "The mill.", "first_chapter": 2}
    land_in(session, 2, "world", told)
    land_in(session, 1, "world", {**told, "detail": None, "first_chapter": 1})
    entry = one(session, WorldEntry)
    assert (entry.detail, entry.first_chapter) == ("It stands still.", 1)


def test_a_thread_that_is_paid_off_stays_so_though_named_again(session: Session) -> None:
    land_in(session, 1, "foreshadowing", thread("key", "planted", 1))
    land_in(session, 2, "foreshadowing", thread("key", "paid_off", 1))
    land_in(session, 3, "foreshadowing", thread("key", "recurring", 1))
    key = one(session, Foreshadowing)
    assert (key.status, key.evidence, key.last_chapter) == ("paid_off", "key paid_off", 2)


def test_a_thread_known_from_before_cannot_be_planted_again(session: Session) -> None:
    land_in(session, 1, "foreshadowing", thread("key", "planted", 1))
    land_in(session, 2, "foreshadowing", thread("key", "planted", 2))
    key = one(session, Foreshadowing)
    assert (key.status, key.first_chapter, key.last_chapter) == ("recurring", 1, 2)


def test_an_earlier_chapter_analysed_late_only_moves_the_beginning(session: Session) -> None:
    land_in(session, 3, "foreshadowing", thread("key", "paid_off", 3))
    land_in(session, 1, "foreshadowing", thread("key", "planted", 1))
    key = one(session, Foreshadowing)
    assert (key.status, key.first_chapter, key.last_chapter) == ("paid_off", 1, 3)


def test_names_longer_than_the_column_are_cut(session: Session) -> None:
    land_in(session, 1, "new_characters", {"name": "x" * 999, "aliases": ["y" * 999], "first_chapter": 1})
    character = one(session, Character)
    assert (len(character.name), [len(alias) for alias in character.aliases]) == (200, [200])


def test_the_latest_job_of_a_chapter_has_its_part(session: Session) -> None:
    land(session, 11, "world", "first", [], "extraction", None)
    land(session, 11, "world", "second", [], "model", "m")
    session.flush()
    row = one(session, Analysis)
    assert (row.job_id, row.method, row.model) == ("second", "model", "m")


def test_a_chapter_that_is_gone_fails_the_job(session: Session) -> None:
    with pytest.raises(Fail, match="not there any more"):
        land(session, 99, "world", "job", [], "model", "m")
