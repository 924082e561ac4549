"""Files that somebody else made, altered or left: nothing goes through a link, nothing of the user's is removed."""

import contextlib
import errno
import fcntl
import os
import re
from pathlib import Path

import filelock
import numpy as np
import pytest

from agents.__main__ import main
from agents.commands import report
from agents.commands import sweep as sweep_command
from agents.reports import learning_curve
from agents.runs import checkpoints, events, files, records, run_folder
from agents.sweeps import study_folder
from heartpole_jax import disk, documents
from heartpole_jax.drawing.charts import style
from heartpole_jax.envs import registry
from heartpole_jax.terminal import printable

DEAD = 2**22 + 1  # above every process id
RECORD = {
    "env_steps": 4096, "loss": 1.25, "episode_return": -150.5, "epsilon": 0.5, "learning_rate": 0.001,
    "greedy_return": -125.0, "regret": 1.6957, "certified": 1.0, "seconds": 2.0, "steps_per_second": 123456.7,
}  # fmt: skip


@pytest.fixture
def victim(tmp_path):
    """A file of the user's that links lead to."""
    path = tmp_path / "victim"
    path.write_text("precious")
    yield path
    assert path.read_text() == "precious"


def test_a_link_in_a_files_place_is_replaced_and_not_followed(tmp_path, victim):
    link = tmp_path / "file"
    link.symlink_to(victim)
    (tmp_path / f".file.{os.getpid()}").symlink_to(victim)
    disk.write_atomic(link, b"new")
    assert (link.read_bytes(), link.is_symlink()) == (b"new", False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "victim"]


def test_a_folder_or_a_device_is_not_replaced_by_a_file(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "null").symlink_to("/dev/null")
    for name in ("folder", "null"):
        with pytest.raises(OSError, match="a folder or a device is there, and no file"):
            disk.write_atomic(tmp_path / name, b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "null"]


@pytest.mark.parametrize("name", [".lock", "learning_curve.png", "metrics.jsonl", "checkpoints", "policy.json"])
def test_a_run_with_a_link_in_it_is_refused(name, tmp_path, victim):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / name).symlink_to(victim)
    with (
        pytest.raises(ValueError, match=f"run/{re.escape(name)} is a link, to {victim}: a run writes into its own"),
        run_folder.lock(folder),
    ):
        pass


def test_a_lock_that_is_a_hard_link_or_a_pipe_is_refused(tmp_path, victim):
    (tmp_path / "run").mkdir()
    os.link(victim, tmp_path / "run" / ".lock")
    with pytest.raises(ValueError, match=r"cannot write \.lock in the run folder .*: it is a link or no file"):
        run_folder.lock(tmp_path / "run").__enter__()


def test_a_link_to_checkpoints_is_removed_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "there" / "step-000000000001").mkdir(parents=True)
    (tmp_path / "checkpoints").symlink_to(tmp_path / "there")
    checkpoints.remove(tmp_path / "checkpoints")
    assert [path.name for path in tmp_path.rglob("*")] == ["there", "step-000000000001"]


def test_hidden_files_of_the_users_are_no_empty_folder_and_stay(tmp_path):
    for name in (".diary.2024", ".bashrc.1", f".notes.{DEAD}"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(ValueError, match="is there already, and not empty"):
            run_folder.Run(tmp_path, {})
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()


def test_what_dead_processes_left_of_our_files_goes_and_nothing_else(tmp_path):
    (tmp_path / "best" / "seed-0").mkdir(parents=True)
    stay = [".policy.json.1", ".policy.json.0", f".diary.{DEAD}", ".policy.json", f"policy.json.{DEAD}"]
    for name in (*stay, f".policy.json.{DEAD}"):
        (tmp_path / "best" / "seed-0" / name).write_text("")
    files.remove_leftovers(tmp_path, ["policy.json"])
    assert sorted(path.name for path in (tmp_path / "best" / "seed-0").iterdir()) == sorted(stay)


def test_a_half_written_checkpoint_of_a_dead_process_goes_when_the_run_is_taken_up(tmp_path):
    checkpoints.save(tmp_path / "checkpoints", 8, {}, {})
    (tmp_path / "checkpoints" / f".step-000000000012.safetensors.{DEAD}").write_bytes(b"half")
    run_folder.Run(tmp_path, {}, resume=[]).__exit__(None, None, None)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000000000008.safetensors"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named_with_a_way_out(number, tmp_path, monkeypatch):
    def flock(handle, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    message = rf"has no locks \(flock: {os.strerror(number)}\): take a folder on another"
    with pytest.raises(ValueError, match=message):
        run_folder.lock(tmp_path).__enter__()
    assert not list(tmp_path.iterdir())


def test_a_lock_names_its_holder_to_everyone_who_asks_and_is_gone_afterwards(tmp_path):
    for _ in range(2):
        with run_folder.lock(tmp_path):
            for _ in range(2):
                with pytest.raises(ValueError, match=rf" is in use by process {os.getpid()} on {os.uname().nodename};"):
                    run_folder.lock(tmp_path).__enter__()
        assert not list(tmp_path.iterdir())


def _at_the_attempt(monkeypatch, happens):
    """Calls `happens` once, when the lock file has been looked at and is about to be locked."""
    acquire, left = filelock.FileLock.acquire, [happens]

    def attempt(self, *arguments, **keywords):
        if left:
            left.pop()()
        return acquire(self, *arguments, **keywords)

    monkeypatch.setattr(filelock.FileLock, "acquire", attempt)


def test_a_link_that_takes_the_place_of_a_lock_is_not_written_through(tmp_path, victim, monkeypatch):
    (tmp_path / "run").mkdir()
    lock = tmp_path / "run" / ".lock"

    def put_a_link():
        lock.unlink()
        lock.symlink_to(victim)

    _at_the_attempt(monkeypatch, put_a_link)
    with pytest.raises(ValueError, match="cannot "):
        run_folder.lock(tmp_path / "run").__enter__()


def test_a_lock_whose_holder_goes_while_another_process_tries_is_taken(tmp_path, monkeypatch):
    holder = contextlib.ExitStack()
    holder.enter_context(run_folder.lock(tmp_path))
    look = run_folder._holder

    def goes_first(path):
        holder.close()
        return look(path)

    monkeypatch.setattr(run_folder, "_holder", goes_first)
    with run_folder.lock(tmp_path):
        assert (tmp_path / ".lock").read_text().startswith(f"{os.getpid()} ")


def test_a_lock_file_that_is_removed_while_it_is_being_locked_holds_nothing(tmp_path, monkeypatch):
    """The next process would make another, and hold that."""
    lock = filelock.UnixFileLock
    own, left = lock._acquire, [None]

    def removed_after(self):
        own(self)
        if left:
            left.pop()
            (tmp_path / ".lock").unlink()

    monkeypatch.setattr(lock, "_acquire", removed_after)
    with run_folder.lock(tmp_path):
        assert (tmp_path / ".lock").exists()


def test_what_is_no_regular_file_or_too_large_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"12345")
    for name, message in (("pipe", "no regular file"), ("large", "more than 4 bytes"), ("", "Is a directory")):
        with pytest.raises(OSError, match=message):
            disk.read_bytes(tmp_path / name, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 3000, "nested deeper than 32 levels"),
        ("a = " + "{b = " * 3000, "nested deeper than 32 levels"),
        (".".join(["a"] * 100_000) + " = 1", "a key in it has more than 32 parts"),
        ("['a'" + " . 'a'" * 100_000 + "]", "a key in it has more than 32 parts"),
        ("a = 1" + " " * 2**20, "cannot read the menu .*more than 1,048,576 bytes"),
    ],
)
def test_toml_made_to_break_its_reader_is_refused_at_once(text, message, tmp_path):
    (tmp_path / "menu.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        documents.read_toml(tmp_path / "menu.toml", "menu")


def test_toml_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "menu.toml").write_bytes('\ufeffa = "ä"\r\n'.encode())
    assert documents.read_toml(tmp_path / "menu.toml", "menu") == {"a": "ä"}


def read_events(path):
    """(step, name, value) of each scalar in the file, by the description of the format; checksums by a known one."""
    content, found = path.read_bytes(), []
    while content:
        size = int.from_bytes(content[:8], "little")
        event, content = content[12 : 12 + size], content[16 + size :]
        fields = dict(_fields(event))
        if 5 in fields:
            value = dict(_fields(dict(_fields(fields[5]))[1]))
            found.append((fields.get(2, 0), value[1].decode(), float(np.frombuffer(value[2], np.float32)[0])))
    return found


def _fields(message):
    while message:
        key, message = message[0], message[1:]
        if key & 7 == 0:
            value = shift = 0
            while True:
                byte, message = message[0], message[1:]
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
        elif key & 7 == 2:
            size, message = message[0], message[1:]
            assert size < 128
            value, message = message[:size], message[size:]
        else:
            size = {1: 8, 5: 4}[key & 7]
            value, message = message[:size], message[size:]
        yield key >> 3, value


def test_tensorboards_events_are_complete_after_every_resume(tmp_path):
    folder = tmp_path / "run"
    written = [RECORD | {"env_steps": 4096 * i, "loss": None if i == 2 else 0.5 * i} for i in range(1, 6)]
    with run_folder.Run(folder, {}) as run:
        for record in written[:3]:
            run.record(record)
    for resumed in (written[:2], written[:3]):  # killed after the third record
        with run_folder.Run(folder, {}, resumed) as run:
            for record in written[len(resumed) :]:
                run.record(record)
    (path,) = folder.glob("events.out.tfevents.*")
    expected = [
        (record["env_steps"], name, float(np.float32(value)))
        for record in written
        for name, value in record.items()
        if name != "env_steps" and value is not None
    ]
    assert read_events(path) == expected


def test_the_checksum_of_events_is_crc_32c():
    """The check value of the CRC catalogue, masked as TensorFlow's record format says."""
    crc = 0xE3069283  # of "123456789"
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert events._masked_crc(b"123456789") == masked.to_bytes(4, "little")


def test_a_full_disk_ends_a_run_with_its_error(tmp_path):
    with run_folder.Run(tmp_path / "run", {}) as run:
        for name in ("_metrics", "_events"):
            with open("/dev/full", "wb", buffering=0) as full, pytest.MonkeyPatch.context() as patch:
                patch.setattr(run, name, full)
                with pytest.raises(OSError, match="No space left on device"):
                    run.record(RECORD)


def test_a_run_uses_no_thread_and_no_wall_clock_for_its_records(tmp_path, monkeypatch):
    with run_folder.Run(tmp_path / "run", {}) as run:
        monkeypatch.setattr(events.time, "time", lambda: -1e12)  # the clock is set back
        run.record(RECORD)
    assert len(run_folder.read_metrics(tmp_path / "run")) == 1


def test_a_menu_is_named_by_its_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert registry.located("HeartPole-v1:tea.toml") == f"HeartPole-v1:{tmp_path}/tea.toml"
    assert registry.located("HeartPole-v1:~/tea.toml") == f"HeartPole-v1:{tmp_path}/home/tea.toml"
    for name in ("HeartPole-v1", "HeartPole-v1:no_night_classes", "gymnax:CartPole-v1"):
        assert registry.located(name) == name


def test_a_home_is_found_where_the_shell_leaves_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert disk.as_path("~/x") == tmp_path / "x"
    with pytest.raises(ValueError, match="~nobody_at_all/x"):
        disk.as_path("~nobody_at_all/x")
    assert main(["report", "~/x"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}/x is no folder")


def test_a_learning_curve_draws_what_is_finite_and_says_what_is_not(tmp_path):
    bad = RECORD | {"env_steps": 8192, "loss": float("inf"), "epsilon": float("nan"), "learning_rate": float("inf")}
    figure = learning_curve.draw([RECORD, bad, RECORD | {"env_steps": 9000, "regret": 1e305}], "a $x_{$ b$", 16)
    figure.canvas.draw()
    texts = [text.get_text() for text in figure.texts]
    assert texts == [r"a \$x_{\$ b\$", "left out, since not finite: regret, loss, epsilon, learning rate"]
    nothing = dict.fromkeys(RECORD, float("nan")) | {"env_steps": 1}
    learning_curve.draw([nothing], "", 16).canvas.draw()


def test_links_of_a_page_are_paths_whatever_a_folder_is_called(tmp_path):
    folder = tmp_path / "javascript:alert(1)" / "run#1 ?%41"
    folder.mkdir(parents=True)
    config = {"env": "HeartPole-v0", "recipe": "r", "seed": 0, "num_steps": 4096, "evaluation_episodes": 1}
    documents.write(folder / "config.json", config)
    (folder / "metrics.jsonl").write_bytes(records.encode_all([RECORD], records.origin(config))[0])
    page = report.write(folder, tmp_path / "page.html").read_text()
    assert 'href="./javascript%3Aalert%281%29/run%231%20%3F%2541/config.json"' in page
    assert 'href="javascript' not in page


@pytest.mark.parametrize("name", ["curve$.png", "x$y$z"])
def test_pictures_have_the_name_that_was_given(name, tmp_path):
    style.save(style.new_figure((1, 1)), tmp_path / "new" / name)
    assert (tmp_path / "new" / name).read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"must end in one of .*\.png"):
        style.save(style.new_figure((1, 1)), tmp_path / "chart.nothing")


def test_a_sweeps_leftovers_go_and_its_study_is_written_again(tmp_path):
    folder = tmp_path / "sweep"
    (folder / "slices").mkdir(parents=True)
    (folder / f".study.json.{DEAD}").write_text("")
    (folder / "slices" / f".batch-0000-program-00-rung-0-slice-0000.safetensors.{DEAD}").write_text("")
    (folder / "slices" / f".step-000000000004.safetensors.{DEAD}").write_text("")
    study = sweep_command.study_of(sweep_command.Sweep(recipe="heartpole-v0", space=("discount=0.9,0.99",)))
    study_folder.tidy(folder, study)
    assert sorted(path.name for path in folder.rglob("*")) == ["slices", "study.toml"]


@pytest.mark.parametrize("name", ["batches", "slices", "best"])
def test_a_file_in_the_place_of_a_folder_is_named_before_anything_is_trained(name, tmp_path):
    (tmp_path / name).write_text("")
    study = sweep_command.study_of(sweep_command.Sweep(recipe="heartpole-v0", space=("discount=0.9,0.99",)))
    with pytest.raises(ValueError, match=f"{name} is no folder, and a sweep writes into it: move it away"):
        study_folder.tidy(tmp_path, study)
    with pytest.raises(NotADirectoryError):
        checkpoints.restore(tmp_path / name, {})


def test_no_file_is_written_or_read_in_the_encoding_of_the_locale():
    """Bytes alone go to the disk and come from it."""
    for package in ("agents", "heartpole_jax"):
        for path in sorted((Path(disk.__file__).parent.parent / package).rglob("*.py")):
            for call in re.findall(r"\.(?:write_text|read_text)\(.*|(?<![.\w])open\(.*", path.read_text("utf-8")):
                assert "encoding" in call or 'b"' in call, f"{path}: {call}"


def test_control_characters_and_dollars_of_a_menu_are_printed_and_drawn_as_they_are(recwarn):
    text = "x$y$ \x1b[2J\u202e\n"
    assert printable(text) == "x$y$ \\x1b[2J\\u202e\n"
    assert style.plain(text) == r"x\$y\$ \x1b[2J\u202e" + "\n"
    figure = style.new_figure((2, 2))
    figure.text(0, 0, style.plain(text))
    figure.add_subplot().set_xticks([0, 1], [style.plain("$"), style.plain("a$_{$")])
    figure.canvas.draw()
    assert not recwarn.list
