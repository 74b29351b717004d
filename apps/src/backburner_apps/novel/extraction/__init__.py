"""What can be told about a chapter without a language model: by rules, and by LAC for Chinese words.

Everything here is extraction: it quotes and counts what the text says, and leaves out what it cannot tell
(`METHODS` says which part is which). All functions are pure; the LAC model loads on first use.
"""

from .analysis import METHODS, character_states, foreshadowing, new_characters, summarize, world
from .language import Language, detect_language
from .results import CharacterState, Foreshadow, NewCharacter, WorldEntry

__all__ = [
    "METHODS",
    "CharacterState",
    "Foreshadow",
    "Language",
    "NewCharacter",
    "WorldEntry",
    "character_states",
    "detect_language",
    "foreshadowing",
    "new_characters",
    "summarize",
    "world",
]
