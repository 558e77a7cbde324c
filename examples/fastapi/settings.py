"""What the web application and the worker share, beside ``[tool.pyqs]`` of ``pyproject.toml``."""

QUEUE = "shop-orders"
DATABASE = "orders.sqlite3"
