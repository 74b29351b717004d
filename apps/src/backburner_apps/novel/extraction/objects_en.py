"""English things a hand can hold: a closed list of nouns, with the word that describes them."""

from collections.abc import Iterator

from .lexicon import words
from .mentions import word
from .names_en import NOT_NAMES
from .reading import Reading, Sentence

_NOUNS = words(
    """
    key map compass letter ring knife dagger sword blade pistol revolver rifle gun watch locket
    pendant necklace bracelet brooch amulet talisman medallion medal coin mirror mask box chest casket
    case bottle vial flask cup goblet chalice book notebook diary journal ledger scroll parchment
    manuscript photograph photo portrait painting envelope note card ticket badge seal stamp lantern
    lamp candle torch match lighter pipe whistle flute violin harp bell drum music-box doll toy statue
    statuette figurine idol crown crystal gem jewel ruby diamond emerald pearl stone orb rod staff
    wand cane umbrella cloak scarf glove hat ribbon feather rope chain padlock lock wrench hammer
    spade lens telescope spyglass sextant chart blueprint disk drive chip phone radio recorder
    cartridge bullet syringe bag satchel purse suitcase trunk basket thimble needle button bead die
    dice deck thread
    """
)
_EVALUATIONS = words(
    """
    old new small little big large great huge tiny heavy light long short same other only own whole
    single good bad fine clean dirty cold hot warm wet dry dark bright strange familiar open closed
    empty full beautiful ugly next last first second third left right missing precious simple ordinary
    plain worn half
    """
)
_COMPOUNDS = words("ladder bridge holder box case chest shop maker work light cabinet store drawer stand bearer")
_DETERMINERS = words(
    """
    a an the his her their my your our its this that these those one another some every
    """
)


def mentions(reading: Reading) -> Iterator[tuple[str, str, int]]:
    """(bare noun, name with its description, sentence) of every object; equal where nothing describes it."""
    for sentence in reading.sentences:
        for at, token in enumerate(sentence.tokens):
            noun = _singular(token.text)
            if noun in _NOUNS and _is_noun(sentence, at):
                yield noun, _described(sentence, at, noun), sentence.index


def _singular(text: str) -> str:
    if text in _NOUNS:
        return text
    return text.removesuffix("es") if text.removesuffix("es") in _NOUNS else text.removesuffix("s")


def _is_noun(sentence: Sentence, at: int) -> bool:
    """Whether a determiner stands before it ("to match" is a verb) and no other noun behind (rope ladder)."""
    following = word(sentence, at + 1)
    if following is not None and following.text in _COMPOUNDS:
        return False
    return any(token.text.lower() in _DETERMINERS for token in sentence.tokens[max(0, at - 3) : at])


def _described(sentence: Sentence, at: int, noun: str) -> str:
    """The noun with the word before it, where that is a description: brass compass, torn map."""
    if at < 2:
        return noun
    before = sentence.tokens[at - 1].text
    determined = any(token.text.lower() in _DETERMINERS for token in sentence.tokens[max(0, at - 3) : at - 1])
    describes = before.isalpha() and before.islower() and before not in _EVALUATIONS | _DETERMINERS | NOT_NAMES
    if not determined or not describes or before.endswith("ly"):
        return noun
    return f"{before} {noun}"
