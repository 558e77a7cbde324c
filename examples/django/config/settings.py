"""A project's settings, as short as they can be."""

from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = "not a secret: an example"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "config.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = ["pyqs.django", "orders"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "db.sqlite3",
        "OPTIONS": {"timeout": 20},  # web and worker write to the same file
    }
}

# The worker's options, which the command line and the environment may override.
PYQS = {
    "QUEUES": ["shop-orders", "shop-mail"],
    "CONCURRENCY": 2,
    "LOG_LEVEL": "INFO",
}

# Tasks of django.tasks: the queue "mail" is "shop-mail" in SQS.
TASKS = {
    "default": {
        "BACKEND": "pyqs.django.TasksBackend",
        "QUEUES": ["mail"],
        "ENQUEUE_ON_COMMIT": True,
        "OPTIONS": {"queue_prefix": "shop-", "retries": 3, "backoff": [0, 10, 60]},
    }
}
