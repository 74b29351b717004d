"""Chinese places and factions: LAC's LOC and ORG words, sorted out by what their last character says."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Literal

from .lexicon import words
from .mentions import word
from .reading import Reading, Sentence, Token

PlaceOrFaction = Literal["place", "faction"]

_PLACE_ENDINGS = frozenset(
    "省市县区镇乡村庄屯寨堡城街路巷弄道桥港湾洲岛屿山岭峰岩崖谷川河江湖海溪潭泉洋滩渡关口坡原林园苑楼阁亭台塔寺庙观"
    "宫殿府宅院馆店铺栈站场厅堂洞国州郡"
)
_PLACE_WORDS = words("码头 大街 胡同 车站 机场 广场 公园 医院 学校 大学 中学 小学 客栈 酒楼 茶楼 山庄 灯塔 港口")
_FACTION_ENDINGS = frozenset("社会帮派门教盟党军团队营宗局司厂族组")
_FACTION_WORDS = words("公司 集团 科技 银行 组织 联盟 协会 委员会 报社 商会 商行 镖局 学会 基金会 联合会")
_PROPER_TAGS = words("LOC ORG nz nw")
_DIRECTIONS = words("东 南 西 北")
# The model cuts these off a name it does not know: 铁剑 + 门.
_CUT_ENDINGS = frozenset("门派帮社教宗盟会")
_GENERIC = words(
    """
    省城 京城 县城 城里 城外 村里 镇上 江边 河边 海边 山上 山下 家里 国内 国外 世界 公司 学校 医院
    银行 政府 警察局 公安局 派出所 法院 集团 组织 部队 军队 大学 中学 小学 码头 车站 机场 广场 公园
    客栈 酒楼 茶楼 灯塔 港口 大街 胡同 山庄 社会 教会 门派 帮派 联盟 协会 商会 报社 局里 队里 厂里
    省里 市里 县里 区里 会议室 办公室 江南 江北 人间 天下 中国 全国
    """
)


def mentions(reading: Reading, persons: frozenset[str]) -> Iterator[tuple[PlaceOrFaction, str, int, int]]:
    """(kind, name, sentence, word) of every place and faction."""
    tags = _tags(reading)
    for sentence in reading.sentences:
        for at, name in _names(sentence):
            # 阿满传: a person's name with one character too many is no place either.
            if len(name) < 2 or name in _GENERIC or name in persons or name[:-1] in persons:
                continue
            kind = _kind(name, tags.get(name, Counter()))
            if kind is not None:
                yield kind, name, sentence.index, at


def _tags(reading: Reading) -> dict[str, Counter[str]]:
    """How often each word carries which tag: the model may change its mind from sentence to sentence."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence in reading.sentences:
        for token in sentence.tokens:
            found[token.text][token.tag] += 1
    return found


def _names(sentence: Sentence) -> Iterator[tuple[int, str]]:
    for at, token in enumerate(sentence.tokens):
        following = word(sentence, at + 1)
        named = token.tag in _PROPER_TAGS or token.tag == "PER"
        if following is not None and _is_cut(token, following, named):
            yield at, token.text + following.text
        elif token.tag in _PROPER_TAGS or (named and len(token.text) > 2 and token.text[-1] in _PLACE_ENDINGS):
            yield at, token.text


def _is_cut(token: Token, following: Token, named: bool) -> bool:
    """Whether two words are one name: 北 + 码头, 铁剑 + 门."""
    if token.text in _DIRECTIONS:
        return following.text in _PLACE_WORDS
    return named and len(token.text) == 2 and following.text in _CUT_ENDINGS


def _kind(name: str, tags: Counter[str]) -> PlaceOrFaction | None:
    """What a name is, or None where neither the model nor its ending says so."""
    if not tags:
        return "faction" if name[-1] in _CUT_ENDINGS else "place"
    proper = sum(tags[tag] for tag in (*_PROPER_TAGS, "PER"))
    if proper * 2 <= tags.total():
        return None
    is_place = name[-1] in _PLACE_ENDINGS or name.endswith(tuple(_PLACE_WORDS))
    is_faction = name[-1] in _FACTION_ENDINGS or name.endswith(tuple(_FACTION_WORDS))
    if tags["LOC"] > tags["ORG"]:
        return "place"
    if tags["ORG"]:
        return "place" if is_place and not is_faction else "faction"
    if is_faction:
        return "faction"
    return "place" if is_place else None
