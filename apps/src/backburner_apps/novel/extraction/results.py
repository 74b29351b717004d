"""What extraction hands back: frozen records that ``dataclasses.asdict`` turns into JSON."""

from dataclasses import dataclass
from typing import Literal

EntryKind = Literal["place", "faction", "rule", "item"]
ForeshadowStatus = Literal["planted", "recurring"]


@dataclass(frozen=True, slots=True)
class CharacterState:
    """Where a character stands at the end of a text.

    ``last_action`` is the last sentence in which the character is the one who acts or speaks, empty when
    there is none. ``with_whom`` (named in the same or a neighbouring sentence) and ``where`` belong to the last
    sentence in which the narrator names the character; both are empty for somebody who is only spoken of.
    """

    name: str
    aliases: tuple[str, ...]
    mentions: int
    last_action: str
    with_whom: tuple[str, ...]
    where: str | None


@dataclass(frozen=True, slots=True)
class NewCharacter:
    """A character none of whose names was known; ``first_seen`` is the first sentence naming them."""

    name: str
    aliases: tuple[str, ...]
    mentions: int
    first_seen: str


@dataclass(frozen=True, slots=True)
class WorldEntry:
    """A place, faction or item of the novel's world; ``evidence`` is the first sentence naming it.

    ``new`` is false when the caller listed the name among the known ones.
    """

    kind: EntryKind
    name: str
    mentions: int
    evidence: str
    new: bool


@dataclass(frozen=True, slots=True)
class Foreshadow:
    """A concrete object that keeps turning up: a candidate, for a person to judge.

    ``first_chapter`` is an index into the earlier texts for a recurring object, None for a planted one.
    """

    object: str
    status: ForeshadowStatus
    mentions: int
    evidence: str
    first_chapter: int | None
