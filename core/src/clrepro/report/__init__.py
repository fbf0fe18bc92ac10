"""How results look: Markdown, CSV, JSON, and a small offline site with figures."""

from clrepro.report.readme import readme_block as readme_block
from clrepro.report.site import write_site as write_site
from clrepro.report.tables import Table as Table
from clrepro.report.tables import results_table as results_table
