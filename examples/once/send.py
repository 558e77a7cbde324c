"""Sends two statements, one of them three times: a bank's job that was started again."""

from tasks import book

statement = [[f"order {number}", number] for number in range(100_000)]
for _attempt in range(3):
    book.delay("acme", statement)
book.delay("bolt", statement)
