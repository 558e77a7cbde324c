"""What the black-box tests stand on: endpoints, queues, users' projects, and commands as real processes.

Nothing here sleeps: tests wait for conditions, which have a deadline. No port is fixed, and no queue is shared.
"""
