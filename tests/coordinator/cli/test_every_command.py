"""Every command of the program: its help, its example, its results as text and as JSON, its failure.

One row per command, in this process, against one real coordinator. What a command does in detail is in the
files beside this one. A command without a row fails here, so a new one is not forgotten.
"""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from coordinator.cli.options import Command
from coordinator.cli.program import lockgate, main
from tests.coordinator.cli.conftest import PROGRAM
from tests.harness import coordinator as harness

ROOT = Path(__file__).parents[3]
ID, OTHER_ID = "6a1253d2-1785-24fd-91c2-f8e78c745511", "7b1253d2-1785-24fd-91c2-f8e78c745511"
KEY = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"

FILES = {
    "entry.hcl": 'Kind = "service-defaults"\nName = "billing"\nProtocol = "tcp"\n',
    "front.hcl": 'Kind = "ingress-gateway"\nName = "front"\n',
    "wrong.hcl": 'Kind = "service-defaults"\nName = "x"\nProtocl = "tcp"\n',
    "billing.hcl": 'service {\n  name = "billing"\n  port = 80\n}\n',
    "rules.hcl": 'operator = "read"\n',
    "ca.json": '{"Config": {"LeafCertTTL": "24h"}}',
    "flows.json": '[{"source": "web", "destination": "pay"}]',
    "allow.hcl": (
        'Kind = "service-intentions"\nName = "pay"\nSources = [{ Name = "web", Action = "allow" }]\n'
    ),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is called, and what fails. `before` is run ahead of each call; `{dir}` is the folder of FILES."""

    call: str = ""
    before: tuple[str, ...] = ()
    status: int = 0
    fails: str
    says: str
    failed: int = 1
    #: The test that calls it, where a process of its own, a node, or a Ctrl-C is needed for that.
    elsewhere: str = ""


def policy(name: str) -> str:
    return f"acl policy create -name {name} -rules @{{dir}}/rules.hcl"


def token(accessor: str = ID) -> str:
    return f"acl token create -accessor {accessor} -description d"


ROWS = {
    "acl bootstrap": Row(
        call="acl bootstrap", before=("RESET",), fails="acl bootstrap", says="no longer"
    ),
    "acl policy create": Row(call=policy("{new}"), fails=policy("ops"), says="already exists"),
    "acl policy delete": Row(
        before=(policy("{new}"),),
        call="acl policy delete -name {new}",
        fails="acl policy delete -name none",
        says="none",
    ),
    "acl policy list": Row(call="acl policy list", fails="acl policy list x", says="unexpected"),
    "acl policy read": Row(
        call="acl policy read -name ops", fails="acl policy read -name none", says="none"
    ),
    "acl policy update": Row(
        call="acl policy update -name ops -rules @{dir}/rules.hcl",
        fails="acl policy update -name ops -rules @{dir}/none.hcl",
        says="none.hcl",
    ),
    "acl role create": Row(
        call="acl role create -name {new} -policy-name ops",
        fails="acl role create -name {new} -policy-name none",
        says="none",
    ),
    "acl role delete": Row(
        before=("acl role create -name {new} -policy-name ops",),
        call="acl role delete -name {new}",
        fails="acl role delete -name none",
        says="none",
    ),
    "acl role list": Row(call="acl role list", fails="acl role list x", says="unexpected"),
    "acl role read": Row(
        call="acl role read -name on-call", fails="acl role read -name none", says="none"
    ),
    "acl token clone": Row(
        call=f"acl token clone -id {ID}",
        fails=f"acl token clone -id {OTHER_ID}",
        says="ACL not found",
    ),
    "acl token create": Row(
        call="acl token create -policy-name ops",
        fails="acl token create -policy-name none",
        says="none",
    ),
    "acl token delete": Row(
        before=(token(OTHER_ID),),
        call=f"acl token delete -id {OTHER_ID}",
        fails=f"acl token delete -id {OTHER_ID}",
        says="ACL not found",
    ),
    "acl token list": Row(call="acl token list", fails="acl token list x", says="unexpected"),
    "acl token read": Row(
        call=f"acl token read -id {ID}",
        fails=f"acl token read -id {OTHER_ID}",
        says="ACL not found",
    ),
    "acl token update": Row(
        call=f"acl token update -id {ID} -policy-name ops",
        fails=f"acl token update -id {OTHER_ID} -policy-name ops",
        says="ACL not found",
    ),
    "audit": Row(call="audit", fails="audit -n 0", says="not in the range"),
    "catalog gateway-services": Row(
        call="catalog gateway-services front",
        fails="catalog gateway-services a b",
        says="unexpected",
    ),
    "catalog nodes": Row(
        call="catalog nodes", fails="catalog nodes -service", says="requires an argument"
    ),
    "catalog services": Row(
        call="catalog services -tags", fails="catalog services -tags=x", says="true or false"
    ),
    "completion": Row(call="completion bash", fails="completion sh", says="'sh' is not one of"),
    "config delete": Row(
        before=("config write {dir}/entry.hcl",),
        call="config delete -kind service-defaults -name billing",
        fails="config delete -kind none -name x",
        says="none",
    ),
    "config list": Row(
        call="config list -kind service-intentions", fails="config list -kind none", says="none"
    ),
    "config read": Row(
        call="config read -kind service-intentions -name pay",
        fails="config read -kind service-intentions -name none",
        says="none",
    ),
    "config write": Row(
        call="config write {dir}/entry.hcl", fails="config write {dir}/wrong.hcl", says="Protocl"
    ),
    "connect ca distrust": Row(
        before=("connect ca rotate",),
        call="connect ca distrust {old_root}",
        fails="connect ca distrust 00:11",
        says="00:11",
    ),
    "connect ca get-config": Row(
        call="connect ca get-config", fails="connect ca get-config x", says="unexpected"
    ),
    "connect ca roots": Row(
        call="connect ca roots", fails="connect ca roots -pen", says="No such option"
    ),
    "connect ca rotate": Row(
        call="connect ca rotate", fails="connect ca rotate x", says="unexpected"
    ),
    "connect ca set-config": Row(
        call="connect ca set-config -config-file {dir}/ca.json",
        fails="connect ca set-config -config-file {dir}/none.json",
        says="none.json",
    ),
    "connect expose": Row(
        call="connect expose -service {new} -ingress-gateway front -port {port}",
        fails="connect expose -service x -ingress-gateway front -port 0",
        says="not in the range",
    ),
    "connect leaf": Row(
        call="connect leaf -service web -out {dir}/{new}",
        fails="connect leaf -service web -out {dir}/entry.hcl",
        says="entry.hcl",
    ),
    "connect proxy": Row(
        elsewhere="tests/scenarios/test_everything_at_once.py",
        fails="connect proxy -service web",
        says="",
        failed=78,
    ),
    "connections close": Row(
        call="connections close -source web -destination billing",
        fails="connections close gw9/0/1",
        says="gw9",
    ),
    "connections list": Row(call="connections list", fails="connections list x", says="unexpected"),
    "coordinator": Row(
        elsewhere="tests/coordinator/cli/test_daemons.py",
        fails="coordinator -c {dir}/none.hcl",
        says="none.hcl",
        failed=78,
    ),
    "dev": Row(
        elsewhere="tests/scenarios/test_dev_comes_and_goes_cleanly.py",
        fails="dev {dir}/none.hcl",
        says="none.hcl",
    ),
    "diff": Row(call="diff {gen}", fails="diff 999999", says="999999"),
    "drain": Row(elsewhere="tests/coordinator/cli/test_drain.py", fails="drain gw9", says="gw9"),
    "explain": Row(
        call="explain -source web -destination pay",
        fails="explain -source web",
        says="-destination",
    ),
    "history": Row(call="history", fails="history x", says="unexpected"),
    "intention check": Row(
        call="intention check web pay", fails="intention check web", says="DESTINATION", failed=2
    ),
    "intention create": Row(
        call="intention create {new} pay", fails="intention create web pay", says="exists already"
    ),
    "intention delete": Row(
        before=("intention create {new} pay",),
        call="intention delete {new} pay",
        fails=f"intention delete {ID}",
        says="",
    ),
    "intention get": Row(call="intention get web pay", fails="intention get none pay", says="none"),
    "intention list": Row(call="intention list", fails="intention list x", says="unexpected"),
    "intention match": Row(call="intention match pay", fails="intention match", says="NAME"),
    "keygen": Row(
        call="keygen -out {dir}/{new}.key", fails="keygen -out {dir}/entry.hcl", says="entry.hcl"
    ),
    "monitor": Row(
        elsewhere="tests/coordinator/cli/test_monitor.py", fails="monitor x", says="unexpected"
    ),
    "node": Row(
        elsewhere="tests/coordinator/cli/test_daemons.py",
        fails="node -c {dir}/none.hcl",
        says="none.hcl",
        failed=78,
    ),
    "nodes allow": Row(call=f"nodes allow gw1 '{KEY}'", fails="nodes allow gw1 short", says="key"),
    "nodes list": Row(call="nodes list", fails="nodes list x", says="unexpected"),
    "nodes revoke": Row(
        before=(f"nodes allow gw1 '{KEY}'",),
        call="nodes revoke gw1",
        fails="nodes revoke none",
        says="none",
    ),
    "nodes token": Row(call="nodes token {new}", fails="nodes token gw1 -ttl soon", says="soon"),
    "plan": Row(call="plan {dir}/allow.hcl", fails="plan {dir}/wrong.hcl", says="Protocl"),
    "rollback": Row(call="rollback {gen} -dry-run", fails="rollback 999999", says="999999"),
    "services deregister": Row(
        before=("services register {dir}/billing.hcl",),
        call="services deregister -id billing",
        fails="services deregister -id none",
        says="none",
    ),
    "services register": Row(
        call="services register {dir}/billing.hcl",
        fails="services register {dir}/none.hcl",
        says="none.hcl",
    ),
    "simulate": Row(
        call="simulate -flows {dir}/flows.json {dir}/entry.hcl",
        fails="simulate -flows {dir}/none.json {dir}/entry.hcl",
        says="none.json",
    ),
    "snapshot inspect": Row(
        before=("snapshot save {dir}/{new}",),
        call="snapshot inspect {dir}/{new}",
        fails="snapshot inspect {dir}/entry.hcl",
        says="entry.hcl",
    ),
    "snapshot restore": Row(
        before=("snapshot save {dir}/{new}",),
        call="snapshot restore {dir}/{new}",
        fails="snapshot restore {dir}/entry.hcl",
        says="",
    ),
    "snapshot save": Row(
        call="snapshot save {dir}/{new}", fails="snapshot save {dir}/none/x", says="none"
    ),
    "status": Row(call="status", fails="status x", says="unexpected"),
    "validate": Row(
        call="validate {dir}/entry.hcl", fails="validate {dir}/none.hcl", says="none.hcl"
    ),
}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its name."""

    def below(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
        context = click.Context(group)
        for own in group.list_commands(context):
            found = group.get_command(context, own)
            path = f"{name} {own}".strip()
            if isinstance(found, click.Group):
                yield from below(found, path)
            else:
                yield path, found

    return below(lockgate, "")


COMMANDS = dict(commands())
CALLED = [name for name, row in ROWS.items() if not row.elsewhere]


def test_every_command_has_a_row_and_every_row_a_command():
    assert COMMANDS.keys() == ROWS.keys()


@pytest.mark.parametrize(("name", "row"), [(n, r) for n, r in ROWS.items() if r.elsewhere])
def test_what_is_called_elsewhere_is_called_there(name, row):
    assert (ROOT / row.elsewhere).is_file(), name


def examples(command: click.Command) -> list[list[str]]:
    """The arguments of each call of the program in the help."""
    _, _, after = (command.help or "").partition("Example")
    lines = re.findall(r"(?<![\w/.])lockgate (?!\()((?:'[^']*'|\"[^\"]*\"|[^|<>()\n])+)", after)
    inner = re.findall(r"\$\(lockgate ([^)]*)\)", after)
    return [shlex.split(line) for line in (*lines, *inner)]


@pytest.mark.parametrize("name", COMMANDS)
def test_its_help_has_examples_that_can_be_called(name, monkeypatch, tmp_path):
    found = examples(COMMANDS[name])
    assert found, "no example in the help"
    monkeypatch.chdir(tmp_path)
    called = []
    monkeypatch.setattr(Command, "invoke", lambda command, _: called.append(command))
    for arguments in found:
        for word in arguments:
            if re.fullmatch(r"[\w-]+\.(hcl|json|snapshot)|examples/\w+", word):
                (tmp_path / word).parent.mkdir(exist_ok=True)
                (tmp_path / word).touch()
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0, arguments
    assert COMMANDS[name] in called


@pytest.mark.parametrize("name", COMMANDS)
def test_a_shell_completes_it_and_its_options(name):
    complete = ShellComplete(lockgate, {}, "lockgate", "_LOCKGATE_COMPLETE")
    *before, last = name.split()
    assert last in [one.value for one in complete.get_completions(before, last[:2])]
    assert "--format" in [one.value for one in complete.get_completions([*before, last], "--fo")]


class Program:
    """The program in this process, with a coordinator to talk to."""

    def __init__(self, folder: Path, state: Path):
        self.folder = folder
        self._state = state
        self._made = 0
        self._generation = 0

    def prepared(self, capsys) -> None:
        """What rows count on, however many of them run."""
        self.ok("config write {dir}/allow.hcl", capsys)
        self.ok(policy("ops"), capsys)
        self.ok("acl role create -name on-call -policy-name ops", capsys)
        self.ok(token(), capsys)
        history = json.loads(self.ok("history --format json", capsys))
        self._generation = history[-1]["generation"]

    def fresh(self) -> None:
        """Another `{new}` from here on."""
        self._made += 1

    def ok(self, call: str, capsys) -> str:
        status, out, err = self.run(call, capsys)
        assert status == 0, (call, err)
        return out

    def run(self, call: str, capsys) -> tuple[int, str, str]:
        """The exit status, stdout and stderr of a call."""
        if call == "RESET":
            (self._state / "acl-bootstrap-reset").write_text(self._reset_index(capsys))
            return 0, "", ""
        with pytest.raises(SystemExit) as end:
            main(self._arguments(call, capsys))
        printed = capsys.readouterr()
        code = end.value.code
        return code if isinstance(code, int) else int(bool(code)), printed.out, printed.err

    def run_apart(self, call: str, capsys) -> tuple[int, str, str]:
        """The same in a process of its own, which the command may turn into another."""
        command = [*PROGRAM, *self._arguments(call, capsys)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def _arguments(self, call: str, capsys) -> list[str]:
        names = {
            "dir": self.folder,
            "new": f"new{self._made}",
            "gen": self._generation,
            "port": 9000 + self._made,
        }
        if "{old_root}" in call:
            *_, old = json.loads(self.ok("connect ca roots --format json", capsys))["Roots"]
            names["old_root"] = old["ID"]
        words = shlex.split(call.replace(KEY, "KEY").format_map(names))
        return [KEY if word == "KEY" else word for word in words]

    def _reset_index(self, capsys) -> str:
        """Where `acl bootstrap` was done already, its refusal says what to write."""
        for _ in range(2):
            _, _, err = self.run("acl bootstrap", capsys)
        found = re.search(r"reset index: (\d+)", err)
        assert found, err
        return found.group(1)


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Path, Path]]:
    """A folder with FILES, and the socket of a coordinator whose access control lists are on."""
    with harness.place() as folder:
        for name, text in FILES.items():
            (folder / name).write_text(text)
        acl = {"enabled": True, "default_policy": "deny"}
        with harness.coordinator(folder, acl=acl):
            yield folder, folder / "run" / "admin.sock"


@pytest.fixture(scope="module")
def made(place) -> Program:
    folder, _ = place
    return Program(folder, folder / "state")


@pytest.fixture
def program(made, place, monkeypatch, capsys) -> Program:
    for name in ("HTTP_TOKEN", "HTTP_TOKEN_FILE", "CACERT", "CLIENT_CERT", "CLIENT_KEY"):
        monkeypatch.delenv(f"LOCKGATE_{name}", raising=False)
        monkeypatch.delenv(f"CONSUL_{name}", raising=False)
    monkeypatch.setenv("LOCKGATE_HTTP_ADDR", f"unix://{place[1]}")
    if not made._generation:
        made.prepared(capsys)
    made.fresh()
    return made


@pytest.mark.parametrize("name", CALLED)
def test_it_does_its_work_and_says_so_in_text_and_in_json(program, name, capsys):
    row = ROWS[name]
    for before in row.before:
        program.ok(before, capsys)
    status, out, err = program.run(row.call, capsys)
    assert (status, bool(out)) == (row.status, True), err
    program.fresh()
    for before in row.before:
        program.ok(before, capsys)
    status, out, err = program.run(f"{row.call} --format json", capsys)
    assert status == row.status, err
    json.loads(out)


@pytest.mark.parametrize("name", ROWS)
def test_its_failure_is_one_line_and_an_exit_status(program, name, capsys):
    row = ROWS[name]
    if name == "acl bootstrap":
        program.run("acl bootstrap", capsys)
    run = program.run_apart if row.elsewhere else program.run
    status, out, err = run(row.fails, capsys)
    assert (status, out) == (row.failed, ""), err
    assert len(err.splitlines()) == 1
    assert row.says in err
