"""`dead-letters`: what the intake refused, and another try after a fix."""

import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from engine.cli.client import open_service
from engine.cli.examples import examples
from engine.cli.json_output import print_json
from engine.cli.known_names import complete_dead_letters, complete_reasons
from engine.cli.options import CommonOptions, common_options
from engine.cli.running import find_engine
from engine.cli.tables import print_table
from engine.cli.times import show_time
from engine.logs import escape_controls
from proto.trellis.v1.dead_letters_grpc import IntakeServiceServicer
from proto.trellis.v1.dead_letters_pb2 import (
    DeadLetter,
    DeadLetterState,
    ListDeadLettersRequest,
    ListDeadLettersResponse,
    ReplayDeadLettersRequest,
    ReplayDeadLettersResponse,
)

_PORT: Final = "service_a"
_PAGE_SIZE: Final = 500
_PAYLOAD_BYTES: Final = 256
_SHOWN_PAYLOAD_CHARS: Final = 60


@click.command(
    "dead-letters",
    epilog=examples(
        "dead-letters",
        "dead-letters list --reason bad_json --limit 5",
        "dead-letters replay --reason unknown_field",
        "dead-letters replay --all",
    ),
)
@common_options
@click.argument("action", type=click.Choice(["list", "replay"]), default="list")
@click.option(
    "--reason",
    metavar="CODE",
    shell_complete=complete_reasons,
    help="Only those with this reason.",
)
@click.option(
    "--id",
    "ids",
    multiple=True,
    metavar="ID",
    shell_complete=complete_dead_letters,
    help="Replay this one; repeatable.",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="list: also those taken in since; replay: all that are not.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    metavar="N",
    help="List at most N, the latest first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def dead_letters(
    options: CommonOptions,
    /,
    *,
    action: str,
    reason: str | None,
    ids: Sequence[str],
    everything: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List the messages that were refused, or with `replay` take them in again after a fix.

    replay wants exactly one of --id, --reason and --all. A message becomes an event once, however
    often it is replayed; the exit code is 1 when some are still refused.
    """
    if action == "list" and ids:
        raise click.UsageError("--id goes with replay")
    if action == "replay" and sum(map(bool, (ids, reason, everything))) != 1:
        raise click.UsageError("replay wants exactly one of --id, --reason and --all")
    config = options.load()
    with open_service(
        find_engine(config.paths.data), _PORT, IntakeServiceServicer, config.security
    ) as service:
        if action == "list":
            _show_list(_list_pages(service, reason, everything, limit), as_json)
            return
        response: ReplayDeadLettersResponse = service.ReplayDeadLetters(
            ReplayDeadLettersRequest(
                dead_letter_ids=ids, reason=reason or "", all_pending=everything
            )
        )
    _show_replay(response, as_json)


def _list_pages(service: Any, reason: str | None, everything: bool, limit: int) -> list[DeadLetter]:
    found: list[DeadLetter] = []
    token = ""
    while len(found) < limit:
        response: ListDeadLettersResponse = service.ListDeadLetters(
            ListDeadLettersRequest(
                page_size=min(_PAGE_SIZE, limit - len(found)),
                page_token=token,
                reason=reason or "",
                state=DeadLetterState.DEAD_LETTER_STATE_UNSPECIFIED
                if everything
                else DeadLetterState.DEAD_LETTER_STATE_PENDING,
                max_payload_bytes=_PAYLOAD_BYTES,
            )
        )
        found += response.dead_letters
        token = response.next_page_token
        if not token:
            break
    return found


def _show_list(letters: Sequence[DeadLetter], as_json: bool) -> None:
    if as_json:
        print_json([_describe(letter) for letter in letters])
        return
    if not letters:
        click.echo("no dead letters")
        return
    print_table(
        ("id", "received", "reason", "detail", "payload", "replayed"),
        [
            (
                letter.dead_letter_id,
                show_time(letter.received_at),
                letter.reason,
                letter.detail,
                _show_payload(letter),
                "yes" if letter.HasField("replayed_at") else "no",
            )
            for letter in letters
        ],
    )


def _show_payload(letter: DeadLetter) -> str:
    text = letter.payload.decode(errors="backslashreplace")[:_SHOWN_PAYLOAD_CHARS]
    size = f" ({letter.payload_size_bytes} bytes)"
    return text + (size if letter.payload_size_bytes > _SHOWN_PAYLOAD_CHARS else "")


def _describe(letter: DeadLetter) -> dict[str, Any]:
    return {
        "dead_letter_id": letter.dead_letter_id,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "received_at": show_time(letter.received_at),
        "reason": letter.reason,
        "detail": letter.detail,
        "payload": letter.payload.decode(errors="backslashreplace"),
        "payload_size_bytes": letter.payload_size_bytes,
        "published_at": show_time(letter.published_at) if letter.HasField("published_at") else None,
        "replayed_at": show_time(letter.replayed_at) if letter.HasField("replayed_at") else None,
    }


def _show_replay(response: ReplayDeadLettersResponse, as_json: bool) -> None:
    if as_json:
        facts = {
            "replayed": response.replayed,
            "already_replayed": response.already_replayed,
            "failed": response.failed,
            "failures": [
                {"dead_letter_id": f.dead_letter_id, "reason": f.reason, "detail": f.detail}
                for f in response.failures
            ],
        }
        print_json(facts)
    else:
        click.echo(
            f"{response.replayed} taken in, {response.already_replayed} had been before, "
            f"{response.failed} still refused"
        )
        for failure in response.failures:
            facts_line = f"{failure.dead_letter_id}: {failure.reason}: {failure.detail}"
            click.echo(f"  {escape_controls(facts_line)}")
    sys.exit(1 if response.failed else 0)
