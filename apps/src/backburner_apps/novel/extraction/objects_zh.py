"""Chinese things a hand can hold: a closed list of nouns, with whatever stands before them in the word."""

from collections.abc import Iterator

from .lexicon import words
from .mentions import word
from .reading import Reading, Sentence

# Told apart by what stands before them (铁盒, 海图); alone, one character is too vague to be an object.
_SHORT_NOUNS = frozenset("盒匣箱哨笛簪剑刀枪琴玉表印铃册簿图灯镜牌瓶珠伞扇坠镯戒佩令笺信")
_LONG_NOUNS = words(
    """
    钥匙 怀表 手表 戒指 项链 耳环 匕首 面具 印章 玉玺 日记 日记本 笔记本 手稿 信封 信件 遗书 照片 相片
    画像 画卷 卷轴 竹简 秘籍 酒壶 茶壶 水晶 宝石 珍珠 铜钱 银票 硬币 金币 罗盘 指南针 望远镜 蜡烛 火把
    火柴 打火机 烟斗 口琴 灯笼 锦囊 荷包 手帕 斗篷 拐杖 手杖 绳索 罐 药罐 硬盘 优盘 磁带 录音笔 相机
    手机 芯片 徽章 奖章 勋章 契约 地契 公文 字条 纸条 纸片 船票 车票 门票 弹壳 子弹 铜杵 算盘 砚台
    毛笔 钢笔
    """
)
_NOT_THINGS = words(
    """
    意图 企图 试图 贪图 宏图 构图 蓝图 插图 截图 代表 外表 报表 图表 仪表 脚印 手印 烙印 水印 复印
    命令 口令 司令 指令 法令 县令 军令 禁令 路灯 红灯 绿灯 电灯 台灯 车灯 眼镜 招牌 名牌 品牌 门牌
    路牌 车牌 相信 迷信 自信 音信 亲信 威信 短信 微信 电信 通信 诚信 注册 手册 眼珠 泪珠 汗珠 水珠
    露珠 雨珠 冰箱 信箱 邮箱 烤箱 刑警 法宝 电扇 风扇 门扇 飞刀 剪刀 菜刀 钢琴 墨镜
    """
)
_MATERIALS = words(
    """
    铜 铁 金 银 玉 木 竹 石 骨 瓷 布 皮 纸 铝 锡 钢 青铜 黄铜 红木 檀木 象牙 水晶 琉璃 玛瑙 翡翠 珍珠
    皮革 丝绸 琥珀 乌木 黑 白 红 蓝 绿 黄 紫 灰 青 黑色 白色 红色 蓝色 绿色 黄色 紫色 灰色 金色 银色
    青色 生锈
    """
)


def mentions(reading: Reading) -> Iterator[tuple[str, str, int]]:
    """(bare noun, name with its description, sentence) of every object; equal where nothing describes it."""
    for sentence in reading.sentences:
        for at, token in enumerate(sentence.tokens):
            if token.tag not in ("n", "nz") or token.text in _NOT_THINGS:
                continue
            noun, described = _parts(token.text)
            if noun and len(token.text + _material(sentence, at)) > 1:
                yield noun, _material(sentence, at) + described, sentence.index


def _parts(text: str) -> tuple[str, str]:
    """("盒", "铁盒") for 铁盒子; two empty strings for a word that is no such thing."""
    plain = text.removesuffix("子") if len(text) > 1 and text[-2] in _SHORT_NOUNS else text
    longest = next((plain[at:] for at in range(len(plain)) if plain[at:] in _LONG_NOUNS), None)
    if longest is not None:
        return longest, plain
    return (plain[-1], plain) if len(plain) <= 4 and plain[-1] in _SHORT_NOUNS else ("", "")


def _material(sentence: Sentence, at: int) -> str:
    before = word(sentence, at - 1)
    return before.text if before is not None and before.text in _MATERIALS else ""
