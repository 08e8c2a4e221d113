"""``clincode gateway`` commands that run a deployment: serve, migrate, samples, purge, the webhook key."""

import json
from importlib.resources import files
from typing import Annotated

import typer

from cli.gateway import clear_errors, gateway_app

__all__ = ["gateway_app"]


@gateway_app.command()
def serve() -> None:
    """Serve the gateway until it is told to stop."""
    with clear_errors():
        from gateway.run import serve as run
        from gateway.settings import Settings

        run(Settings.load())


@gateway_app.command()
def migrate() -> None:
    """Bring the database to this version's tables; serving does it too."""
    with clear_errors():
        from gateway.settings import Settings
        from gateway.storage.database import Database

        database = Database(Settings.load().database_url.get_secret_value())
        database.migrate()
        database.close()
    typer.echo("the database has this version's tables")


@gateway_app.command()
def purge(
    days: Annotated[int | None, typer.Option(min=1, help="default: CLINCODE_RETENTION_DAYS")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say how many notes it would be")] = False,
) -> None:
    """Delete notes received too long ago, with all that hangs on them. A running gateway does so every hour."""
    with clear_errors():
        from gateway.security.permissions import Principal, Role
        from gateway.services import Services
        from gateway.settings import Settings

        services = Services.build(Settings.load())
        if dry_run:
            count = services.retention.due(days)
        else:
            count = services.retention.purge(Principal("cli", Role.ADMIN, frozenset()), days)
        services.database.close()
    typer.echo(f"{count} notes {'would be' if dry_run else 'were'} deleted")


@gateway_app.command()
def samples() -> None:
    """Post the sample notes (written for this project) to the gateway of CLINCODE_URL with CLINCODE_API_KEY."""
    import os

    import httpx

    with clear_errors():
        try:
            url, key = os.environ["CLINCODE_URL"], os.environ["CLINCODE_API_KEY"]
        except KeyError as error:
            raise ValueError(f"{error.args[0]} is not set: source .run/gateway.env") from None
        lines = files("gateway").joinpath("sample_notes.jsonl").read_text(encoding="utf-8").splitlines()
        try:
            with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
                for line in lines:
                    client.post("/api/v1/notes", json=json.loads(line)).raise_for_status()
        except httpx.HTTPError as error:
            raise ValueError(f"the gateway of {url} did not take the notes ({type(error).__name__})") from None
    typer.echo(f"{len(lines)} sample notes are in the worklist")


@gateway_app.command("webhook-key")
def webhook_key() -> None:
    """Print the key that signs webhooks, in hex, for who is to verify them."""
    with clear_errors():
        from gateway.settings import Settings

        typer.echo(Settings.load().derived_key("webhook").hex())
