"""Secrets that stand in addresses stay out of what web servers log."""

from __future__ import annotations

import logging
import re
from typing import Any

ACCESS_LOGS = ("uvicorn.access", "gunicorn.access", "hypercorn.access")
SECRET = re.compile(r"(?<=[?&])((?:ticket|token)=)[^&\s\"']+")
SECRET_PATH = re.compile(r"(/backburner/answers/)[^/?\s\"']+")


class HideSecrets(logging.Filter):
    """Lets every line through, without tickets and tokens."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = hidden(record.msg)
        if isinstance(record.args, dict):
            record.args = {name: hidden(value) for name, value in record.args.items()}
        elif isinstance(record.args, tuple):
            record.args = tuple(hidden(value) for value in record.args)
        return True


def hidden(value: Any) -> Any:
    return SECRET_PATH.sub(r"\1***", SECRET.sub(r"\1***", value)) if isinstance(value, str) else value


def keep_secrets_out_of_logs() -> None:
    """Of the servers that are known; once is enough."""
    for name in ACCESS_LOGS:
        logger = logging.getLogger(name)
        if not any(isinstance(each, HideSecrets) for each in logger.filters):
            logger.addFilter(HideSecrets())
