"""A Flask application that leaves slow work to a worker.

gunicorn shop:app
pyqs shop-orders
"""

import functools
import sqlite3

from flask import Flask, current_app, g, jsonify, request
from pyqs import task

app = Flask(__name__)
app.config["DATABASE"] = "orders.sqlite3"


def database():
    """This context's connection, which is closed with the context."""
    if "database" not in g:
        g.database = sqlite3.connect(current_app.config["DATABASE"], timeout=20, isolation_level=None)
        g.database.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, item TEXT, state TEXT)")
    return g.database


@app.teardown_appcontext
def close_database(_error):
    connection = g.pop("database", None)
    if connection:
        connection.close()


def in_app_context(function):
    """Below ``@task``: within, ``current_app`` and ``g`` are there, as in a request."""

    @functools.wraps(function)
    def within(*args, **kwargs):
        with app.app_context():
            return function(*args, **kwargs)

    return within


@task(queue="shop-orders", retries=3)
@in_app_context
def ship(order):
    database().execute("UPDATE orders SET state = 'shipped' WHERE id = ?", [order])
    current_app.logger.info("order %s is shipped", order)


@app.post("/orders")
def create():
    order = database().execute("INSERT INTO orders (item, state) VALUES (?, 'new')", [request.form["item"]]).lastrowid
    ship.delay(order)
    return jsonify(id=order), 201


@app.get("/orders/<int:order>")
def show(order):
    row = database().execute("SELECT item, state FROM orders WHERE id = ?", [order]).fetchone()
    return (jsonify(item=row[0], state=row[1]), 200) if row else (jsonify(error="no such order"), 404)
