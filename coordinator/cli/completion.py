"""`lockgate completion`: the shell's completion of commands and options.

Belongs here: printing the script. Never here: what is completed, which click knows from the commands.
"""

import click
from click.shell_completion import get_completion_class

from .options import command
from .output import print_json
from .settings import Settings

SHELLS = ("bash", "zsh", "fish")
#: The variable by which the script asks the program; click derives it from the program's name.
_VARIABLE = "_LOCKGATE_COMPLETE"


@command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes SHELL complete commands and options.

    \b
    Examples:
      source <(lockgate completion bash)
      lockgate completion bash > /etc/bash_completion.d/lockgate
      lockgate completion fish > ~/.config/fish/completions/lockgate.fish
    """
    root = context.find_root()
    made = get_completion_class(shell)
    assert made is not None, shell
    script = made(root.command, {}, "lockgate", _VARIABLE).source()
    if root.ensure_object(Settings).is_json:
        print_json({"shell": shell, "script": script})
    else:
        print(script)
