"""What the tasks say while they work and when they end, in the novel's language."""

from __future__ import annotations

import re
from typing import Any

from backburner import Notice

PROGRESS = {
    "reading": {"en": "Reading the story so far", "zh-CN": "正在读前文"},
    "writing": {"en": "Writing the chapter", "zh-CN": "正在写这一章"},
    "summarising": {"en": "Summarising the chapter", "zh-CN": "正在写摘要"},
    "saving": {"en": "Saving the chapter", "zh-CN": "正在保存"},
    "written": {"en": "The chapter is written", "zh-CN": "这一章写好了"},
    "character_states": {"en": "Following the characters", "zh-CN": "正在跟踪人物状态"},
    "new_characters": {"en": "Looking for new characters", "zh-CN": "正在识别新人物"},
    "world": {"en": "Extending the world", "zh-CN": "正在扩展世界设定"},
    "foreshadowing": {"en": "Recording the foreshadowing", "zh-CN": "正在记录伏笔"},
    "analysed": {"en": "The analysis is done", "zh-CN": "增强分析已完成"},
}

NOTICES = {
    "generate": {
        "completed": {
            "en": ("A new chapter is written", 'The next chapter of "{title}" is there to read.'),
            "zh-CN": ("新的一章写好了", "《{title}》的新一章可以读了。"),
        },
        "failed": {
            "en": ("The new chapter could not be written", 'The next chapter of "{title}" was not written. {reason}'),
            "zh-CN": ("新的一章没有写成", "《{title}》的新一章没有写成。{reason}"),
        },
    },
    "analyse": {
        "completed": {
            "en": (
                "Chapter {number}: enhanced analysis is done",
                'The characters, world and foreshadowing of "{title}" are up to date.',
            ),
            "zh-CN": ("第 {number} 章增强分析已完成", "《{title}》的人物、世界设定和伏笔已更新。"),
        },
        "failed": {
            "en": (
                "Chapter {number}: enhanced analysis failed",
                'The parts of the analysis of "{title}" that were done are kept. {reason}',
            ),
            "zh-CN": ("第 {number} 章增强分析失败", "《{title}》已完成的分析部分都保留着。{reason}"),
        },
    },
}

REASON = {
    "en": ("What happened: {reason}", "Something unexpected happened; its details are with the job."),
    "zh-CN": ("原因：{reason}", "发生了意外的错误，详情见任务记录。"),
}
AGAIN = {
    "en": "You can start it again from the job's page; what is finished is not done twice.",
    "zh-CN": "可以在任务页面重新运行，已完成的步骤不会重做。",
}

UNEXPECTED = re.compile(r"\w*(Error|Exception|Warning|Interrupt)\b")
"""How the reason of a failure begins that nobody wrote a sentence for."""


def progress(language: str, what: str) -> str:
    return PROGRESS[what][language]


def generate_notice(kind: str, args: dict[str, Any], reason: str | None) -> Notice:
    return _notice("generate", kind, args, reason, {"novel_id": args["novel_id"]})


def analyse_notice(kind: str, args: dict[str, Any], reason: str | None) -> Notice:
    data = {name: args[name] for name in ("novel_id", "chapter_id", "chapter_number")}
    return _notice("analyse", kind, args, reason, data)


def _notice(task: str, kind: str, args: dict[str, Any], reason: str | None, data: dict[str, Any]) -> Notice:
    language = args["language"]
    title, message = NOTICES[task][kind][language]
    known = {
        "title": args["novel_title"],
        "number": args.get("chapter_number"),
        "reason": _reason(language, reason),
    }
    return Notice(title.format(**known), message.format(**known), data)


def _reason(language: str, reason: str | None) -> str:
    explained, unexplained = REASON[language]
    if not reason or UNEXPECTED.match(reason):
        said = unexplained
    else:
        said = explained.format(reason=reason if reason.endswith((".", "。", "!", "?")) else f"{reason}.")
    return f"{said}{'' if language == 'zh-CN' else ' '}{AGAIN[language]}"
