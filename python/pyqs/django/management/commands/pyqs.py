"""``manage.py pyqs QUEUE...``: the command ``pyqs``, in a Django project."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Optional

from django.core.management.base import BaseCommand, CommandParser
from django.utils.module_loading import autodiscover_modules

from pyqs import main
from pyqs.django import _connections, _settings


class Command(BaseCommand):
    """What is no option of Django's is read by ``pyqs`` itself."""

    help = "Run a worker on queues, or another command of pyqs."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Django's parser for Django's own options; it passes on all others."""
        parser = super().create_parser(prog_name, subcommand, add_help=False, allow_abbrev=False, **kwargs)
        parser.parse_args = functools.partial(_parse_known, parser)
        return parser

    def add_base_argument(self, parser: CommandParser, *args: Any, **kwargs: Any) -> None:
        """Leave out ``--version``, which is that of pyqs."""
        if "--version" not in args:
            super().add_base_argument(parser, *args, **kwargs)

    def handle(self, *_args: Any, words: list[str], **_options: Any) -> None:
        """Do what the words say."""
        with _settings.as_variables():
            settings = main.settings_of(words)
        # Before the processes are forked, as with all that Django has imported by now.
        autodiscover_modules("tasks")
        _connections.close_all()
        main.run_worker(settings)


def _parse_known(parser: CommandParser, args: Optional[Sequence[str]] = None, namespace: Any = None) -> Any:
    options, words = parser.parse_known_args(args, namespace)
    options.words = words
    return options
