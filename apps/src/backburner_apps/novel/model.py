"""Which model writes here, and what a reader must know about it."""

from __future__ import annotations

from backburner import Backburner, ConfigurationError, Run

from .wire import ModelOut

LOCAL = "local-model"
"""The label of the tiny model: it only goes on with a text."""

NOTICES = {
    LOCAL: {
        "en": "A tiny local model writes here. It is a real language model, but far too small: its text is nonsense. "
        "Summaries and analyses are made by extraction. For a real writer set OPENAI_API_KEY, or OPENAI_BASE_URL.",
        "zh-CN": "这里由本机的微型模型写作。它是真正的语言模型，但实在太小，写出的文字没有意义。"
        "摘要和分析由规则提取完成。要用真正能写作的模型，请设置 OPENAI_API_KEY 或 OPENAI_BASE_URL。",
    },
    "none": {
        "en": "No model is set, so no chapters can be written; chapters that are there can be analysed by extraction. "
        "Set OPENAI_API_KEY, or OPENAI_BASE_URL.",
        "zh-CN": "没有设置模型，不能写新的章节；已有的章节可以用规则提取来分析。"
        "请设置 OPENAI_API_KEY 或 OPENAI_BASE_URL。",
    },
}


def describe_model(bb: Backburner) -> ModelOut:
    try:
        model = bb.model
    except ConfigurationError:
        return ModelOut(model=None, method="none", notice=NOTICES["none"])
    return ModelOut(model=model.model, method=model.method, notice=NOTICES.get(model.method))


def follows_instructions(run: Run) -> bool:
    """Whether the model can be asked something; not so for the local one, nor where none is set."""
    try:
        return run.llm.method != LOCAL
    except ConfigurationError:
        return False
