"""The mailing: one task that delivers an e-mail into a Maildir.

`MAILING_FOLDER` says where: the Maildir is its `maildir`, and `first-tries` beside it
remembers which of the e-mails chosen to fail have had their first try.
"""

import mailbox
import os
from email.message import EmailMessage
from pathlib import Path

from pyqs import task

FAILS_FIRST_EVERY = 50


@task(queue="email")
def send_email(number: int, to: str, subject: str, body: str) -> None:
    """Deliver one e-mail; every fiftieth fails at its first try, as a mail server might."""
    folder = Path(os.environ["MAILING_FOLDER"])
    if number % FAILS_FIRST_EVERY == 0 and _is_first_try(folder / "first-tries", number):
        raise ConnectionError(f"the mail server of {to} is busy")
    letter = EmailMessage()
    letter["From"] = "shop@harbour.example"
    letter["To"] = to
    letter["Subject"] = subject
    letter["X-Number"] = str(number)
    letter.set_content(body)
    mailbox.Maildir(folder / "maildir").add(letter)


def _is_first_try(first_tries: Path, number: int) -> bool:
    try:
        (first_tries / str(number)).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
