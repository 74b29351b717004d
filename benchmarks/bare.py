"""The peer of a durable submit: a bare FastAPI route that does one fsynced insert."""

from __future__ import annotations

import os
import sqlite3
import threading
from typing import Any

from fastapi import FastAPI

app = FastAPI()
connection = sqlite3.connect(os.environ["BARE_DATABASE"], isolation_level=None, check_same_thread=False)
connection.execute("PRAGMA journal_mode=WAL")
connection.execute("PRAGMA synchronous=FULL")
connection.execute("CREATE TABLE IF NOT EXISTS items (id INTEGER PRIMARY KEY, body TEXT)")
lock = threading.Lock()


@app.post("/items", status_code=202)
def insert(body: dict[str, Any]) -> dict[str, int | None]:
    with lock:
        return {"id": connection.execute("INSERT INTO items (body) VALUES (?)", (str(body),)).lastrowid}
