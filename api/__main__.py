"""The command line, ``historian``: one door for every command."""

import sys

import typer

from api.commands import COMMANDS
from api.console import refuse
from api.version import WrongInstallation, check_installation

app = typer.Typer(
    name="historian",
    help="Industrial historian: takes tags and events, keeps them, traces units.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for name, command in COMMANDS.items():
    app.command(name)(command)


def main() -> None:
    """Run one command; what it refuses is one line and exit code 1, never a traceback."""
    try:
        check_installation(debug=__debug__)
    except WrongInstallation as error:
        refuse(error)
        sys.exit(1)
    app()


if __name__ == "__main__":
    main()
