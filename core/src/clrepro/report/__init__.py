"""How results look: Markdown, CSV, and one offline HTML page with figures."""

from clrepro.report.page import readme_block as readme_block
from clrepro.report.page import write_page as write_page
from clrepro.report.tables import Table as Table
from clrepro.report.tables import results_table as results_table
