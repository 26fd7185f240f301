"""`drift`: whether models still see what they were trained on."""

from collections.abc import Sequence
from typing import Any, Final

import click

from engine.cli.client import open_service
from engine.cli.command_lines import write_command
from engine.cli.examples import examples
from engine.cli.json_output import print_json
from engine.cli.known_names import complete_models
from engine.cli.options import CommonOptions, common_options
from engine.cli.running import find_engine
from engine.cli.tables import print_table
from engine.cli.times import show_time
from engine.cli.waiting import show_waiting
from proto.trellis.v1.monitor_grpc import MonitorServiceServicer
from proto.trellis.v1.monitor_pb2 import (
    DetectDriftRequest,
    DriftReport,
    DriftVerdict,
    FeatureDrift,
    ListDriftReportsRequest,
    ListDriftReportsResponse,
)

_PORT: Final = "service_d"
_PAGE_SIZE: Final = 100
_CHECK_TIMEOUT_S: Final = 600.0
"""A look may have to wait for a worker."""
_VERDICT_PREFIX: Final = "DRIFT_VERDICT_"
_MEASURES: Final = (
    "psi",
    "ks_statistic",
    "ks_p_value",
    "chi_squared",
    "chi_squared_p_value",
    "adjusted_p_value",
    "wasserstein",
)


@click.command(
    "drift",
    epilog=examples("drift", "drift buys_soon --check", "drift buys_soon --limit 5 --json"),
)
@common_options
@click.argument("model", metavar="[MODEL]", required=False, shell_complete=complete_models)
@click.option("--check", is_flag=True, help="Look at MODEL now, and wait for the report.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="List at most N reports, the latest first; default: 20.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def drift(
    options: CommonOptions,
    /,
    *,
    model: str | None,
    check: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """List the reports of drift, those of MODEL with the features of the latest one.

    A feature's measures are shown with the furthest drifted first.
    """
    if check and model is None:
        raise click.UsageError("--check wants the name of a MODEL, as `models` lists them")
    if check and limit is not None:
        raise click.UsageError("--limit goes without --check")
    config = options.load()
    with open_service(
        find_engine(config.paths.data),
        _PORT,
        MonitorServiceServicer,
        config.security,
        timeout_s=_CHECK_TIMEOUT_S,
    ) as service:
        if check:
            with show_waiting(f"looking at {model}"):
                reports = [service.DetectDrift(DetectDriftRequest(model=model)).report]
        else:
            reports = _list_pages(service, model or "", limit or 20)
    if as_json:
        described = [_describe(report) for report in reports]
        print_json(described[0] if check else described)
        return
    if not check:
        _print_reports(reports)
    if reports and model is not None:
        if not check:
            click.echo("\nthe latest one:")
        _print_report(reports[0])


def _list_pages(service: Any, model: str, limit: int) -> list[DriftReport]:
    found: list[DriftReport] = []
    token = ""
    while len(found) < limit:
        response: ListDriftReportsResponse = service.ListDriftReports(
            ListDriftReportsRequest(
                model=model, page_size=min(_PAGE_SIZE, limit - len(found)), page_token=token
            )
        )
        found += response.reports
        token = response.next_page_token
        if not token:
            break
    return found


def _print_reports(reports: Sequence[DriftReport]) -> None:
    if not reports:
        click.echo(f"no reports; to make one: {write_command('drift', 'MODEL', '--check')}")
        return
    print_table(
        (
            "report",
            "model",
            "version",
            "checked",
            "cause",
            "verdict",
            "rows",
            "drifted",
            "training",
        ),
        [
            (
                report.report_id,
                report.model,
                report.model_version,
                show_time(report.checked_at),
                report.cause,
                _verdict(report),
                f"{report.rows:,}",
                _drifted(report),
                report.retrain_job_id or report.not_retrained_because,
            )
            for report in reports
        ],
    )


def _print_report(report: DriftReport) -> None:
    click.echo(
        f"model {report.model} version {report.model_version}: {_verdict(report)}, "
        f"{_drifted(report)} features drifted, {report.rows:,} rows from "
        f"{show_time(report.window_start)} to {show_time(report.window_end)}"
    )
    if report.retrain_job_id:
        click.echo(f"training {report.retrain_job_id}")
    elif report.not_retrained_because:
        click.echo(f"no training: {report.not_retrained_because}")
    click.echo()
    if not report.features:
        click.echo("no feature was compared: the window holds too few rows")
        return
    print_table(
        ("feature", "drifted", "psi", "ks", "wasserstein", "missing", "p", "why", "new"),
        [
            (
                one.feature,
                "yes" if one.drifted else "no",
                _number(one, "psi"),
                _number(one, "ks_statistic"),
                _number(one, "wasserstein"),
                f"{one.reference_missing_rate:.0%} to {one.current_missing_rate:.0%}",
                _number(one, "adjusted_p_value"),
                ", ".join(one.reasons),
                ", ".join(one.new_categories[:5]),
            )
            for one in report.features
        ],
    )


def _number(one: FeatureDrift, measure: str) -> str | None:
    return f"{getattr(one, measure):.3g}" if one.HasField(measure) else None


def _drifted(report: DriftReport) -> str:
    return f"{sum(one.drifted for one in report.features)} of {len(report.features)}"


def _verdict(report: DriftReport) -> str:
    return DriftVerdict.Name(report.verdict).removeprefix(_VERDICT_PREFIX).lower()


def _describe(report: DriftReport) -> dict[str, Any]:
    return {
        "report_id": report.report_id,
        "model": report.model,
        "model_version": report.model_version,
        "cause": report.cause,
        "checked_at": show_time(report.checked_at),
        "window_start": show_time(report.window_start),
        "window_end": show_time(report.window_end),
        "rows": report.rows,
        "verdict": _verdict(report),
        "job_id": report.job_id,
        "retrain_job_id": report.retrain_job_id or None,
        "not_retrained_because": report.not_retrained_because or None,
        "features": [_describe_feature(one) for one in report.features],
    }


def _describe_feature(one: FeatureDrift) -> dict[str, Any]:
    measures = {name: getattr(one, name) if one.HasField(name) else None for name in _MEASURES}
    return {
        "feature": one.feature,
        "kind": one.kind,
        "drifted": one.drifted,
        "reasons": list(one.reasons),
        "reference_rows": one.reference_rows,
        "current_rows": one.current_rows,
        **measures,
        "reference_missing_rate": one.reference_missing_rate,
        "current_missing_rate": one.current_missing_rate,
        "new_categories": list(one.new_categories),
    }
