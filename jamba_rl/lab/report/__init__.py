"""From run folders to a report: reads files only, knows nothing of training.

``runs`` reads them, ``same`` sorts out those that are not what they claim, ``study`` measures, ``sections`` say what
came out, and ``markdown``, ``html`` and ``figures`` show it.
"""

from jamba_rl.lab.report.study import Study, make_study
from jamba_rl.lab.report.write import Report, make_report, name_left_out

__all__ = ["Report", "Study", "make_report", "make_study", "name_left_out"]
