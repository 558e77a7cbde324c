"""Settings: options before variables before ``[tool.pyqs]``, for worker and producer alike, and ``pyqs config``."""

from __future__ import annotations

import json
from typing import Any, Optional

import pytest
from support.endpoints import Endpoint
from support.processes import one_line
from support.projects import Project
from support.queues import Queue, new_name

NO_AWS = {"AWS_ENDPOINT_URL": None, "AWS_DEFAULT_REGION": None}


def settings(project: Project, *options: str, **environment: Optional[str]) -> dict[str, Any]:
    """What is in force, by name."""
    result = project.pyqs("config", "--json", *options, **environment)
    assert (result.returncode, result.stderr) == (0, "")
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def tool(project: Project, text: str, folder: str = "") -> str:
    return str(project.write(f"{folder}pyproject.toml", f"[project]\nname = 'shop'\n[tool.pyqs]\n{text}\n"))


def test_each_setting_says_where_it_comes_from(ours_project: Project) -> None:
    path = tool(ours_project, "concurrency = 2\nthreads = 3\ninterval = 0.5\nqueues = ['a', 'b']")
    found = settings(ours_project, "--concurrency", "7", PYQS_THREADS="5", PYQS_CONCURRENCY="6")

    assert found["concurrency"] == {"value": 7, "source": "option", "from": "--concurrency"}
    assert found["threads"] == {"value": 5, "source": "variable", "from": "PYQS_THREADS"}
    assert found["interval"] == {"value": 0.5, "source": "file", "from": path}
    assert found["queues"] == {"value": ["a", "b"], "source": "file", "from": path}
    assert found["max_tasks_per_child"] == {"value": 100, "source": "default", "from": "default"}
    assert found["region"] == {"value": None, "source": "default", "from": "default"}
    assert found["extend_visibility"]["value"] is True
    assert found["burst"]["value"] is False


def test_the_names_are_those_of_the_settings_in_python(ours_project: Project) -> None:
    names = ours_project.python("import pyqs; print(*pyqs.Settings._fields)").split()

    assert sorted(settings(ours_project)) == sorted(names)


def test_for_people_it_is_a_table_and_secrets_are_masked(ours_project: Project) -> None:
    tool(ours_project, "secret_access_key = 'hush-hush'\naccess_key_id = 'hush'\nhttp_token = 'hush-token'")
    result = ours_project.pyqs("config", "email")

    assert result.returncode == 0, result.stderr
    assert "hush" not in result.stdout
    lines = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}
    assert lines["secret_access_key"][0] == "********"
    assert lines["queues"] == ["email", "QUEUE"]
    assert lines["region"] == ["-", "default"]
    masked = settings(ours_project, PYQS_IDEMPOTENCY_STORE="redis://:hush@cache:6379/0")
    assert masked["http_token"]["value"] == masked["access_key_id"]["value"] == "********"
    assert masked["idempotency_store"]["value"] == "redis://:********@cache:6379/0"


def test_the_file_is_found_up_to_the_root_of_the_repository(ours_project: Project) -> None:
    outer = tool(ours_project, "concurrency = 2")
    ours_project.write("repository/.git/HEAD", "")
    ours_project.write("repository/deep/er/x", "")
    ours_project.write("plain/pyproject.toml", "[tool.black]\nline-length = 100\n")
    code = "import os, sys, pyqs; os.chdir(sys.argv[1]); print(pyqs.Settings.in_force().concurrency)"

    def found(folder: str) -> str:
        return ours_project.python(f"import sys; sys.argv[1:] = [{folder!r}]\n{code}").strip()

    assert found(".") == "2"
    assert found("plain") == "2", "one without our table is passed by"
    assert found("repository/deep/er") == "None", "and none above the repository is read"
    tool(ours_project, "concurrency = 3", "repository/")
    assert found("repository/deep/er") == "3"
    assert settings(ours_project)["concurrency"]["from"] == outer


def test_a_worker_and_whoever_sends_go_by_the_file(ours_project: Project, ours: Endpoint) -> None:
    queue = Queue(ours.client(), new_name())
    tool(
        ours_project,
        f"queues = ['{queue.name}']\nendpoint-url = '{ours.url}'\nregion = 'eu-west-1'\nburst = true\n"
        "access_key_id = 'local'\nsecret_access_key = 'local'",
    )
    no_aws = {**NO_AWS, "AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    code = f"import pyqs, tasks; pyqs.task(queue={queue.name!r})(tasks.work).delay('sent')"
    ours_project.python(code, **no_aws)
    result = ours_project.pyqs(**no_aws)

    assert result.returncode == 0, result.stderr
    assert ours_project.values("work") == ["sent"]
    result = ours_project.pyqs("queues", queue.name, **no_aws)
    assert (result.returncode, result.stderr) == (0, "")


def test_variables_go_before_the_file_for_whoever_sends(ours_project: Project, ours: Endpoint) -> None:
    tool(ours_project, "endpoint_url = 'http://127.0.0.1:1'\nformat = 'celery'")
    queue = Queue(ours.client(), new_name())
    code = f"import pyqs, tasks; pyqs.task(queue={queue.name!r})(tasks.work).delay('sent')"

    ours_project.python(code, PYQS_ENDPOINT_URL=ours.url, PYQS_FORMAT="pyqs")
    assert json.loads(queue.take()[0]["Body"])["task"] == "tasks.work"
    ours_project.python(code, PYQS_ENDPOINT_URL=ours.url)
    assert not queue.take()[0]["Body"].startswith("{"), "the file says Celery's"
    ours_project.python(f"import pyqs; pyqs.configure(endpoint_url={ours.url!r}, format='pyqs')\n{code}")
    assert json.loads(queue.take()[0]["Body"])["task"] == "tasks.work"


STORING = """
import pyqs
from journal import note

@pyqs.task(queue="{queue}", idempotency_key="number")
def keep(number, text):
    note("kept", value=[number, len(text)])
"""


@pytest.mark.parametrize("how", ["options", "file", "arguments"])
def test_stores_are_settings_as_others_are(ours_project: Project, ours_queue: Queue, how: str) -> None:
    queue, folder = ours_queue.name, ours_project.folder
    stores = {"payload_store": f"file://{folder}/payloads", "idempotency_store": f"sqlite://{folder}/keys.db"}
    ours_project.write("storing.py", STORING.format(queue=queue))
    ours_project.python(
        "import pyqs, storing\n"
        f"pyqs.configure(payload_store={stores['payload_store']!r}, payload_threshold=1000)\n"
        "for _ in range(2):\n"
        "    storing.keep.delay(7, 'x' * 1000)\n"
    )
    if how == "file":
        lines = [*(f"{name} = {value!r}" for name, value in stores.items()), "keep_payloads = true"]
        tool(ours_project, "\n".join(lines))
        code = f"import sys; from pyqs.main import main; sys.argv[1:] = [{queue!r}, '--burst']; main()"
    elif how == "options":
        words = [queue, "--burst", "--keep-payloads"]
        words += [word for name, value in stores.items() for word in (f"--{name.replace('_', '-')}", value)]
        code = f"import sys; from pyqs.main import main; sys.argv[1:] = {words!r}; main()"
    else:
        code = f"from pyqs.main import _main; _main([{queue!r}], burst=True, keep_payloads=True, **{stores!r})"
    worker = ours_project.script(code)

    assert worker.wait() == 0, worker.output
    assert ours_project.values("kept") == [[7, 1000]], worker.output
    assert len(list((folder / "payloads").iterdir())) == 2, "they are kept"


def test_whoever_sends_goes_by_the_file_s_payload_store(ours_project: Project, ours_queue: Queue) -> None:
    tool(ours_project, f"payload_store = 'file://{ours_project.folder}/payloads'\npayload_threshold = 0")
    ours_project.python(f"import pyqs, tasks; pyqs.task(queue={ours_queue.name!r})(tasks.work).delay('x')")

    assert "pyqs.PayloadPointer" in ours_queue.take()[0]["Body"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--payload-store", "ftp://x"], "payload store 'ftp://x' is none; give s3://bucket"),
        (["--idempotency-store", "mysql://x"], "idempotency store 'mysql://x' is none"),
        (["--payload-threshold", "1048577"], "1048577 is not in 0..=1048576"),
    ],
)
def test_what_is_no_store_is_named_at_the_start(
    ours_project: Project, ours_queue: Queue, words: list[str], named: str
) -> None:
    result = ours_project.pyqs(ours_queue.name, *words)

    assert result.returncode in (1, 2)
    assert named in one_line(result.stderr)


def test_a_worker_is_given_a_url_and_a_program_configures_objects(ours_project: Project, ours_queue: Queue) -> None:
    output = ours_project.python(
        "import pyqs\n"
        "from pyqs.worker import ManagerWorker\n"
        "from pyqs.payloads import FolderPayloadStore\n"
        "store = FolderPayloadStore('/payloads')\n"
        "try:\n"
        f"    ManagerWorker([{ours_queue.name!r}], 1, 0, 10, payload_store=store)\n"
        "except pyqs.errors.SettingsInvalid as error:\n"
        "    print(error)\n"
        "pyqs.configure(payload_store=store)\n"
        f"ManagerWorker([{ours_queue.name!r}], 1, 0, 10)\n"
    )
    assert "give a worker its URL, and an object to pyqs.configure(payload_store=)" in one_line(output)


def test_a_worker_s_own_options_hold_in_its_tasks(ours_project: Project, ours: Endpoint) -> None:
    queue, other = Queue(ours.client(), new_name()), Queue(ours.client(), new_name())
    ours_project.write(
        "sending.py",
        "import pyqs, tasks\ndef send(queue):\n    pyqs.task(queue=queue)(tasks.work).delay(1)\n",
    )
    queue.send_task("sending.send", other.name)
    queue.send_task("sending.send", new_name())

    options = ("--burst", "--format", "celery", "--create-queues", "no")
    result = ours_project.pyqs(queue.name, *options, PYQS_FORMAT="pyqs", PYQS_CREATE_QUEUES="1")

    assert result.returncode == 0, result.stderr
    assert not other.take()[0]["Body"].startswith("{"), "Celery's"
    assert "QueueMissing" in result.stderr


def test_a_program_s_worker_goes_by_what_was_configured(ours_project: Project, ours_queue: Queue) -> None:
    tool(ours_project, "burst = true\nconcurrency = 9")
    ours_queue.send_tasks("tasks.work", [[1], [2], [3]])
    worker = ours_project.script(
        "import pyqs\n"
        "from pyqs.main import _main\n"
        "pyqs.configure(pyqs.Settings(log_level='INFO', max_tasks=1))\n"
        f"_main([{ours_queue.name!r}])\n",
        PYQS_CONCURRENCY="3",
    )

    assert worker.wait() == 0, worker.output
    assert len(ours_project.values("work")) == 1, "configured"
    assert len(worker.matches("Running ProcessWorker")) == 3, "the variable goes before the file"
    worker = ours_project.script(
        f"from pyqs.main import _main\n_main([{ours_queue.name!r}], concurrency=2, logging_level='INFO')\n",
        PYQS_CONCURRENCY="3",
    )
    assert worker.wait() == 0, worker.output
    assert len(worker.matches("Running ProcessWorker")) == 2, "and an argument before both"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("concurency = 4", "unknown key 'concurency' (is it concurrency?)"),
        ("max-task = 4", "unknown key 'max-task' (is it max_tasks?)"),
        ("concurrency = 'many'", "bad value 'many' for --concurrency"),
        ("burst = 1", "'burst' is true or false"),
        ("burst = ", "line 4: "),
    ],
)
def test_what_is_wrong_in_a_file_is_named(ours_project: Project, text: str, named: str) -> None:
    path = tool(ours_project, text)
    for words in (["email"], ["config"], ["queues"]):
        result = ours_project.pyqs(*words)
        if words == ["queues"] and named.startswith("bad value"):
            continue  # it has no such option
        assert result.returncode == 2
        line = one_line(result.stderr)
        assert path in line, line
        assert named in line, line
    output = ours_project.python(
        "import pyqs, tasks\n"
        "try:\n"
        "    tasks.work.delay(1)\n"
        "except pyqs.errors.SettingsInvalid as error:\n"
        "    print(error)\n"
    )
    assert path in one_line(output)
    assert named in output


def test_a_broken_file_of_others_is_none_of_ours(ours_project: Project) -> None:
    ours_project.write("pyproject.toml", "this is = no toml =\n")

    assert settings(ours_project)["concurrency"]["source"] == "default"


def test_what_is_configured_must_be_a_setting(ours_project: Project) -> None:
    output = ours_project.python(
        "import pyqs\n"
        "for wrong in ({'concurency': 4}, {'format': 'json'}):\n"
        "    try:\n"
        "        pyqs.configure(**wrong)\n"
        "    except pyqs.errors.SettingsInvalid as error:\n"
        "        print(error)\n"
        "print(pyqs.Settings(concurrency=4, secret_access_key='hush'))\n"
        "print(pyqs.Settings(idempotency_store='rediss://ada:hush@cache/0', payload_store='file:///payloads'))\n"
    )
    lines = output.splitlines()

    assert lines[0] == "there is no setting 'concurency' (is it concurrency?)"
    assert "'json'" in lines[1]
    assert lines[2] == "Settings(secret_access_key='********', concurrency=4)"
    assert lines[3] == "Settings(payload_store='file:///payloads', idempotency_store='rediss://ada:********@cache/0')"


def test_no_queue_anywhere_is_a_usage_error(ours_project: Project) -> None:
    result = ours_project.pyqs()

    assert result.returncode == 2
    assert "no queue given" in one_line(result.stderr)
