"""Outcomes of transfers as plain facts, for the command line and the doors."""

import dataclasses
from typing import Any

from historian.transfer.document import Document
from historian.transfer.importing import ImportReport

_DIFFERENCES_TOLD = 1_000


def export_facts(document: Document) -> dict[str, Any]:
    """What an export holds, in numbers."""
    series = [one.data for tag in document.tags for one in tag.series]
    return {
        "format": document.layout,
        "known_at_lsn": document.known_at_lsn,
        "start_ns": str(document.start_ns),
        "end_ns": str(document.end_ns),
        "tags": len(document.tags),
        "samples": sum(facts.rows for facts in series),
        "events": sum(kind.data.rows for kind in document.events),
        "files": len(document.pieces),
        "file_bytes": sum(piece.size_bytes for piece in document.pieces),
        "damage": list(document.damage),
    }


def import_facts(report: ImportReport) -> dict[str, Any]:
    """What came of an import: counts, and equality with the export by tag and kind."""
    facts: dict[str, Any] = {
        "job": report.job,
        "read": report.read,
        "taken": report.taken,
        "rejected": report.rejected,
        "tags_made": report.tags_made,
        "rejects": str(report.rejects) if report.rejects else None,
        "compared": None,
    }
    if report.compared is not None:
        different = [one for one in report.compared if not one.equal]
        facts["compared"] = {
            "equal": len(report.compared) - len(different),
            "different": len(different),
            "rows": sum(one.got_rows for one in report.compared),
            "differences": [dataclasses.asdict(one) for one in different[:_DIFFERENCES_TOLD]],
        }
    return facts
