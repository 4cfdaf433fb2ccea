"""What holds for every test: few threads, no window, repeatable examples, no pretended GPU, and no
proxy between a test and its own servers."""

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

# Before torch is imported: the test workers share the cores among themselves.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["no_proxy"] = ",".join(
    [*filter(None, map(os.environ.get, ("no_proxy", "NO_PROXY"))), "127.0.0.1", "localhost"]
)

import hypothesis
import pytest

# Machines under load miss any deadline, and draw slowly. CI tries the same examples every time; at
# a desk, others.
hypothesis.settings.register_profile(
    "desk", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile(
    "ci", hypothesis.settings.get_profile("desk"), derandomize=True, print_blob=True
)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "desk")


def port_of_ones_own() -> int:
    """A port that nobody has, and that nobody is given by chance before it is taken: the system
    gives ports from 32768 on to connections, of which the tests beside this one make many."""
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Gives a port of one's own for a server that is about to start."""
    return port_of_ones_own


BASE_TEMP = pytest.StashKey[Path]()

sys.path.append(str(Path(__file__).parent))  # for peers and refusals


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        torch = pytest.importorskip("torch")
        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Compare the messages that a test expects with its snapshots."""
    from refusals import recording

    with recording(item.nodeid, item.config.stash[BASE_TEMP]):
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def _base_temp(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Remember where temporary folders are: messages are compared without them."""
    pytestconfig.stash[BASE_TEMP] = tmp_path_factory.getbasetemp()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process: exit code, standard output, standard error."""
    from scalesearch.cli import main

    def command(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return command


@pytest.fixture
def run_refused(run: Callable[..., tuple[int, str, str]]) -> Callable[..., None]:
    """Run a command that exits with 2 and prints nothing but the message of its snapshot."""
    from refusals import compare_message

    def command(name: str, *arguments: object) -> None:
        code, out, err = run(name, *arguments)
        assert (code, out) == (2, ""), err
        compare_message(name, err)

    return command


@pytest.fixture(scope="session")
def torchvision() -> ModuleType:
    """torchvision, also beside a torch that it was not built for."""
    from peers import import_torchvision

    return import_torchvision()


@pytest.fixture(scope="session")
def timm(torchvision: ModuleType) -> ModuleType:
    """timm, also where torchvision does not fit torch."""
    from peers import import_timm

    return import_timm()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server of one's own on loopback: its URL, with a password, without a database.

    It is pgserver's, or the machine's. It ends with the tests, also where they are killed.
    """
    psycopg = pytest.importorskip("psycopg")
    user = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    programs = _postgres_programs(user.pw_name)
    # Not pytest's own folder, which the server's user could not enter.
    home = Path(tempfile.mkdtemp(prefix="postgres-"))
    password = secrets.token_hex(8)
    (home / "password").write_text(password)
    for path in (home, home / "password"):
        os.chown(path, user.pw_uid, user.pw_gid)
    as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": home}
    if os.getuid() != 0:
        as_user = {"cwd": home}
    initdb = [programs / "initdb", "-D", home / "data", "-U", "scalesearch", "--no-locale"]
    initdb += ["-E", "UTF8", "--auth=scram-sha-256", f"--pwfile={home / 'password'}", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, **as_user)
    port = port_of_ones_own()
    server = [programs / "postgres", "-D", home / "data", "-h", "127.0.0.1", "-p", str(port)]
    server += ["-c", f"unix_socket_directories={home}", "-c", "fsync=off"]
    # The shell ends the server when its input ends, which it does with this process.
    script = '"$@" </dev/null & server=$!; cat >/dev/null; kill -QUIT $server; wait $server'
    with (home / "log").open("w") as log:
        shell = subprocess.Popen(
            ["sh", "-c", script, "sh", *server],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            **as_user,
        )
    try:
        address = f"scalesearch:{password}@127.0.0.1:{port}"
        until = time.monotonic() + 200
        while True:
            try:
                psycopg.connect(f"postgresql://{address}/postgres").close()
                break
            except psycopg.OperationalError as error:
                if time.monotonic() > until:
                    raise RuntimeError((home / "log").read_text()) from error
                time.sleep(0.05)
        yield f"postgresql+psycopg://{address}"
    finally:
        shell.stdin.close()
        shell.wait(200)
        shutil.rmtree(home, ignore_errors=True)


def _postgres_programs(user: str) -> Path:
    """A folder with PostgreSQL's programs that this user may run."""
    spec = importlib.util.find_spec("pgserver")
    folders = [Path(spec.origin).parent / "pginstall" / "bin"] if spec and spec.origin else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folders += [Path(found).parent] if (found := shutil.which("initdb")) else []
    for folder in folders:
        command = [folder / "initdb", "--version"]
        as_user = {"user": user} if os.getuid() == 0 else {}
        try:
            if subprocess.run(command, capture_output=True, **as_user).returncode == 0:
                return folder
        except OSError:
            continue
    pytest.skip(f"needs PostgreSQL (pgserver, or initdb on the PATH) that {user} may run")


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database on a real PostgreSQL server."""
    import psycopg

    name = f"test_{secrets.token_hex(6)}"
    owner = postgres_server.replace("+psycopg", "") + "/postgres"
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield f"{postgres_server}/{name}"
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
