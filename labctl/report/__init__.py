"""Reports of a run, made from the recorder's database and nothing else."""

from labctl.report.write import FORMATS, write_report

__all__ = ["FORMATS", "write_report"]
