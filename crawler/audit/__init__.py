"""Can the label be predicted from what is not the picture? Families of features, each probed against the labels.

headers, features   a file ▶ what is measured of it       columns   measures ▶ numbers and words
probe               columns ▶ cross-validated AUC         report    probes ▶ verdict, JSON, text
run                 dataset ▶ audit                       plot      audit ▶ picture
"""

from crawler.audit.report import LIMIT, Audit, Group, Probe, Verdict, advice, describe, one_line
from crawler.audit.run import (
    SAMPLE,
    AuditError,
    Settings,
    audit_dataset,
    audit_key,
    read_audit,
    read_or_run_audit,
)

__all__ = [
    "LIMIT",
    "SAMPLE",
    "Audit",
    "AuditError",
    "Group",
    "Probe",
    "Settings",
    "Verdict",
    "advice",
    "audit_dataset",
    "audit_key",
    "describe",
    "one_line",
    "read_audit",
    "read_or_run_audit",
]
