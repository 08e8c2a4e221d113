"""``python -m cli`` is ``clincode``, for an environment whose scripts are not on the path."""

from cli.main import app

app(prog_name="clincode")
