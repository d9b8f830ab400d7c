"""How commands and options are written here: as Consul's, on top of click.

Belongs here: one dash or two, booleans with `=true|false`, global options everywhere, errors with the status
of their command. Never here: a command.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any, TypeVar

import click

from cluster.errors import LockgateError

from .settings import global_options

F = TypeVar("F", bound=Callable[..., Any])

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")
_CONTEXT = {"help_option_names": ["-h", "-help", "--help"], "max_content_width": 100}


class Failure(click.ClickException):
    """One line for stderr, and the exit status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def usage_failure(error: click.UsageError, status: int = 1) -> Failure:
    """The error in one line, with where to read on."""
    where = error.ctx.command_path if error.ctx else "lockgate"
    return Failure(f"{error.format_message()} (see {where} --help)", status)


class Command(click.Command):
    """A command whose every error, of usage too, ends with `error_status`."""

    def __init__(self, *arguments: Any, error_status: int = 1, **options: Any) -> None:
        options["context_settings"] = dict(_CONTEXT)
        super().__init__(*arguments, **options)
        self.params = [*self.params, *global_options()]
        self.error_status = error_status

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        try:
            return super().make_context(*arguments, **options)
        except click.UsageError as error:
            raise usage_failure(error, self.error_status) from None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, _plain_flags(args, _flag_names(self.params)))
        except click.BadOptionUsage as error:
            error.ctx = error.ctx or ctx
            raise
        except click.NoSuchOption as error:
            raise _whole_option(error, given) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise usage_failure(error, self.error_status) from None
        except LockgateError as error:
            raise Failure(str(error), self.error_status) from None


class Group(click.Group):
    """A command with subcommands, each loaded from its module when it is needed."""

    def __init__(self, *arguments: Any, lazy: dict[str, str] | None = None, **options: Any) -> None:
        options["context_settings"] = dict(_CONTEXT)
        super().__init__(*arguments, **options)
        self.params = [*self.params, *global_options()]
        self.no_args_is_help = False
        self._lazy = lazy or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.commands, *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.commands or cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, name = self._lazy[cmd_name].partition(":")
        found = getattr(import_module(module), name)
        assert isinstance(found, click.Command)
        return found


def command(name: str, *, error_status: int = 1) -> Callable[[Callable[..., Any]], Command]:
    """Make a Command of a function; its docstring is the help."""
    return click.command(name, cls=Command, error_status=error_status)


def option(name: str, **settings: Any) -> Callable[[F], F]:
    """An option with one dash or two: `option("kind", help=…)`."""
    return click.option(f"-{name}", f"--{name}", name.replace("-", "_"), **settings)


def flag(name: str, **settings: Any) -> Callable[[F], F]:
    """A boolean option: `-name`, `-name=true`, `-name=false`."""
    return option(name, is_flag=True, default=False, **settings)


def _flag_names(parameters: Iterable[click.Parameter]) -> frozenset[str]:
    return frozenset(
        name
        for parameter in parameters
        if isinstance(parameter, click.Option) and parameter.is_flag
        for name in parameter.opts
    )


def _whole_option(error: click.NoSuchOption, given: Iterable[str]) -> click.NoSuchOption:
    """The error about `-kidn`, which click takes for `-k -i -d -n` and so calls `-k`."""
    for argument in given:
        name = argument.partition("=")[0]
        if len(name) > 2 and name.startswith(error.option_name) and name[1] != "-":
            return click.NoSuchOption(name, ctx=error.ctx)
    return error


def _plain_flags(arguments: Iterable[str], flags: frozenset[str]) -> list[str]:
    """Booleans as click reads them: `-x=true` is `-x`, `-x=false` is nothing."""
    return list(_plain(iter(arguments), flags))


def _plain(rest: Iterator[str], flags: frozenset[str]) -> Iterator[str]:
    for argument in rest:
        name, equals, value = argument.partition("=")
        if argument == "--":
            yield argument
            yield from rest
        elif not equals or name not in flags:
            yield argument
        elif value in _TRUE:
            yield name
        elif value not in _FALSE:
            raise click.BadOptionUsage(name, f"Option {name} is true or false, not {value!r}.")
