"""What the web application and the worker share."""

import pyqs

QUEUE = "shop-orders"
DATABASE = "orders.sqlite3"

# How this process sends. In a worker's tasks the worker's own options hold.
# On AWS nothing is needed: region and credentials come from where boto3 takes them too.
pyqs.configure(format="pyqs")
