# SPDX-License-Identifier: Apache-2.0
"""The emulator's state in one SQLite file; changes are transactions, so restarts find it whole."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emulator.errors import Json
from emulator.world.references import Ref

_SCHEMA = """
CREATE TABLE IF NOT EXISTS resource (
    collection TEXT, project TEXT, scope TEXT, name TEXT, body TEXT NOT NULL,
    PRIMARY KEY (collection, project, scope, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class Store:
    """Resources by reference, and settings by key. Safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Ends the connection; the file is complete."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and alone: other threads wait. May be nested."""
        with self._lock:
            if self._depth == 0:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._db.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._db.execute("COMMIT")

    def get(self, ref: Ref) -> Json | None:
        """A resource, as a copy, or None."""
        with self._lock:
            row = self._db.execute(
                "SELECT body FROM resource WHERE collection=? AND project=? AND scope=? AND name=?",
                (ref.collection, ref.project, ref.scope, ref.name),
            ).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, ref: Ref, body: Json) -> None:
        """Writes a resource, new or not."""
        with self._lock:
            self._db.execute(
                "INSERT OR REPLACE INTO resource VALUES (?,?,?,?,?)",
                (ref.collection, ref.project, ref.scope, ref.name, json.dumps(body)),
            )

    def delete(self, ref: Ref) -> None:
        """Removes a resource; one that is not there is fine."""
        with self._lock:
            self._db.execute(
                "DELETE FROM resource WHERE collection=? AND project=? AND scope=? AND name=?",
                (ref.collection, ref.project, ref.scope, ref.name),
            )

    def items(
        self, collection: str, project: str | None = None, scope: str | None = None
    ) -> list[tuple[Ref, Json]]:
        """Resources of a collection, ordered by project, scope, name."""
        query = "SELECT project, scope, name, body FROM resource WHERE collection=?"
        values = [collection]
        for column, value in (("project", project), ("scope", scope)):
            if value is not None:
                query += f" AND {column}=?"
                values.append(value)
        with self._lock:
            rows = self._db.execute(query + " ORDER BY project, scope, name", values).fetchall()
        return [(Ref(p, s, collection, n), json.loads(b)) for p, s, n, b in rows]

    def setting(self, key: str, default: Any = None) -> Any:
        """A setting's JSON value."""
        with self._lock:
            row = self._db.execute("SELECT value FROM setting WHERE key=?", (key,)).fetchone()
        return json.loads(row[0]) if row else default

    def settings(self, prefix: str) -> dict[str, Any]:
        """Settings whose key begins with `prefix`; keys come without it."""
        with self._lock:
            rows = self._db.execute(
                "SELECT key, value FROM setting WHERE substr(key, 1, ?)=?", (len(prefix), prefix)
            ).fetchall()
        return {k[len(prefix) :]: json.loads(v) for k, v in rows}

    def put_setting(self, key: str, value: Any) -> None:
        """Writes a setting; None removes it."""
        with self._lock:
            if value is None:
                self._db.execute("DELETE FROM setting WHERE key=?", (key,))
            else:
                self._db.execute(
                    "INSERT OR REPLACE INTO setting VALUES (?,?)", (key, json.dumps(value))
                )
