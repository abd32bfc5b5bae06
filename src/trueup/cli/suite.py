"""`trueup suite`: the test plan of a whole system, carried out and reported."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.cli.settings import CONFIG_VARIABLE
from trueup.cli.similar_progress import ProgressLine
from trueup.cli.suite_arguments import (
    EXAMPLE,
    add_arguments,
    check_arguments,
    model_settings,
    wanted_of,
)
from trueup.cli.suite_reports import rendered, report_files, write_reports
from trueup.cli.suite_system import System, chosen, examined_system
from trueup.config.servers import running_servers
from trueup.config.settings import Settings
from trueup.errors import UsageError
from trueup.suite.baseline import changes, read_baseline
from trueup.suite.case import Case, Subject
from trueup.suite.planning import SuitePlan, plan_suite
from trueup.suite.proposal import Proposals
from trueup.suite.report import build_report
from trueup.suite.run import Run, chosen_cases, is_chosen, with_instead

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["EXAMPLE", "MIXES_OPTIONS", "add_arguments", "run"]

MIXES_OPTIONS = True
EXIT_INTERRUPTED = 130
SHOWN_IDS = 8


def run(arguments: argparse.Namespace) -> int:
    """Carry the suite out; 0 where everything passed, 1 where not, 130 after an interrupt."""
    check_arguments(arguments)
    return _Suite(arguments).run()


class _Suite:
    """One run of the command."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._files = report_files(arguments.reports)
        named = arguments.baseline
        self._baseline = None if named is None else read_baseline(named)
        self._config = _config_file(arguments)
        self._settings, self._backends = _configured(self._config)
        self._folder = self._config.parent if self._config else Path()
        self._line = ProgressLine()
        self._started = time.monotonic()
        self._started_at = datetime.now().astimezone().isoformat(timespec="seconds")
        self._is_interrupted = False
        self._subjects: tuple[Subject, ...] = ()  # those without cases too: roles have chains

    def run(self) -> int:
        with _terminated_as_interrupted():
            if self._arguments.url is not None:
                return asyncio.run(self._ask_running())
            system = self._examined()
            if self._arguments.is_static or not system.is_whole:
                self._is_interrupted = not system.is_whole
                suite, work = self._planned(system)
                return self._report(system, suite, work)
            return asyncio.run(self._ask_private(system))

    def _examined(self) -> System:
        arguments = self._arguments
        named = arguments.models or ([] if self._config else ["demo"])
        system = examined_system(
            chosen(self._settings, named, model_settings(arguments)),
            self._backends,
            folder=self._folder,
            transformers=arguments.transformers,
            progress=self._line.show,
            builds=None if arguments.is_static else self._tell,
        )
        if self._config is not None:
            system.environment["config"] = str(self._config)
        return system

    def _tell(self, text: str) -> None:
        self._line.clear()
        print(text, file=sys.stderr, flush=True)

    def _planned(self, system: System) -> tuple[SuitePlan, Run]:
        arguments = self._arguments
        suite = plan_suite(system.tested, system.roles, wanted_of(arguments), folder=system.folder)
        cases = [case for case in suite.cases if case.is_static or not arguments.is_static]
        kept = chosen_cases(cases, arguments.only, arguments.skip)
        if not kept:
            raise _nothing_left(arguments, cases)

        def show(case: Case, number: int, count: int) -> None:
            failed = f", {work.failed} failed" if work.failed else ""
            self._line.clear()  # else a quick case's line would stand through the next one's load
            self._line.show(f"({number} of {count}{failed}: {case.id}: {case.title})")

        work = Run(kept, progress=show)
        self._subjects = suite.subjects
        return suite.narrowed(kept), work

    async def _ask_private(self, system: System) -> int:
        from trueup.cli.suite_server import NoService, private_service

        suite, work = self._planned(system)
        try:
            with self._noting_interrupts():
                if system.can_serve:
                    async with private_service(system.served) as service:
                        await work.carry_out(service)
                else:
                    await work.carry_out(NoService())
        finally:  # a bug of ours ends the run and not what is known
            status = self._report(system, suite, work)
        return status

    async def _ask_running(self) -> int:
        from trueup.cli.client import ChatClient
        from trueup.cli.suite_running import running_system
        from trueup.cli.suite_server import ClientService, own_names

        arguments = self._arguments
        base = arguments.url.rstrip("/").removesuffix("/v1")
        is_here = any(server.url.rstrip("/") == base for server in running_servers())
        async with ChatClient(f"{base}/v1", api_key=os.environ.get("TRUEUP_API_KEY")) as client:
            rows = await client.models()
            system = running_system(
                rows,
                arguments.models,
                url=arguments.url,
                kind=arguments.kind,
                roles=self._settings.roles,
                folder=self._folder,
                is_here=is_here,
            )
            suite, work = self._planned(system)
            models = [each.subject.name for each in system.tested if each.subject.is_ours]
            roles = {role.name: {"chain": role.chain} for role in system.roles}
            service = ClientService(client, own=own_names(models, roles), is_here=is_here)
            try:
                with self._noting_interrupts():
                    await work.carry_out(service)
            finally:
                status = self._report(system, suite, work)
        return status

    @contextlib.contextmanager
    def _noting_interrupts(self) -> Iterator[None]:
        """Have an interrupt end the block and not the report."""
        try:
            yield
        except asyncio.CancelledError:
            self._is_interrupted = True
            if (task := asyncio.current_task()) is not None:
                task.uncancel()

    def _report(self, system: System, suite: SuitePlan, work: Run) -> int:
        """Print and write what is known; returns the exit status."""
        self._line.clear()
        arguments = self._arguments
        proposals = Proposals(self._subjects, work.results)
        results = with_instead(work.results, proposals.instead_of)
        report = build_report(
            suite.subjects,
            results,
            started_at=self._started_at,
            seconds=time.monotonic() - self._started,
            environment=system.environment,
            is_static=arguments.is_static,
            is_interrupted=self._is_interrupted,
        )
        if self._baseline is not None:
            report["baseline"] = self._changes(self._baseline, report)
        faults = write_reports(report, self._files)
        if arguments.format == "text":
            from trueup.doctor.render.text import print_lines
            from trueup.suite.render.text import report_lines

            print_lines(report_lines(report))
        else:
            print(rendered(report, arguments.format), end="")
        for fault in faults:
            print(f"error: {fault}", file=sys.stderr)
        if self._is_interrupted:
            return EXIT_INTERRUPTED
        summary = report["summary"]
        return int(summary["passed"] < summary["cases"] or bool(faults))

    def _changes(self, baseline: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
        arguments = self._arguments

        def is_asked(identity: str) -> bool:
            is_static = identity.endswith("/check") or not arguments.is_static
            return is_static and is_chosen(identity, arguments.only, arguments.skip)

        found: dict[str, Any] = changes(baseline, report["cases"], is_chosen=is_asked)
        return {"file": str(arguments.baseline), "started_at": baseline.get("started_at"), **found}


def _config_file(arguments: argparse.Namespace) -> Path | None:
    """The file of the flag, else of the variable where nothing else says what is tested."""
    if arguments.config is not None:
        return Path(arguments.config)
    named = os.environ.get(CONFIG_VARIABLE)
    return Path(named) if named and not arguments.models and not arguments.url else None


def _configured(path: Path | None) -> tuple[Settings, Mapping[str, Any]]:
    """The settings of a file, and its backends as it has them."""
    if path is None:
        return Settings(), {}
    # pydantic and ruamel.yaml cost a tenth of a second.
    from trueup.config.document import read_document
    from trueup.config.load import load_config
    from trueup.config.variables import KEPT, plain_tree

    settings = load_config(path, os.environ)
    tree, _ = plain_tree(read_document(path), KEPT)
    return settings, tree.get("backends", {})


def _nothing_left(arguments: argparse.Namespace, cases: list[Case]) -> UsageError:
    what = "static case" if arguments.is_static else "case"
    ids = ", ".join(f"`{case.id}`" for case in cases[:SHOWN_IDS])
    more = f" and {len(cases) - SHOWN_IDS} more" if len(cases) > SHOWN_IDS else ""
    flag = "--only" if arguments.only else "--skip" if arguments.skip else "--static"
    return UsageError(
        f"no {what} is left" + (f"; there are {ids}{more}" if ids else ""),
        where=" ".join((flag, *(arguments.only or arguments.skip))),
    )


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Have a request to end treated as Ctrl-C: what was measured is reported."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, interrupt)
    # A script that starts this in the background has it ignore interrupts, and so these too.
    interrupted = signal.getsignal(signal.SIGINT)
    if interrupted is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, interrupted)
