"""Orders, in SQLite."""

import contextlib
import sqlite3

from settings import DATABASE


@contextlib.contextmanager
def database():
    connection = sqlite3.connect(DATABASE, timeout=20, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def prepare():
    with database() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, item TEXT, state TEXT)")


def add(item):
    with database() as connection:
        return connection.execute("INSERT INTO orders (item, state) VALUES (?, 'new')", [item]).lastrowid


def find(order):
    with database() as connection:
        return connection.execute("SELECT item, state FROM orders WHERE id = ?", [order]).fetchone()


def set_state(order, state):
    with database() as connection:
        connection.execute("UPDATE orders SET state = ? WHERE id = ?", [state, order])
