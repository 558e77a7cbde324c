"""The tasks that the benchmark drains; imported by our worker and by the original PyQS alike."""


def noop() -> None:
    """Do nothing: what is left is the queue's own cost."""
