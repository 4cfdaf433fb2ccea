"""Results of a search for people: summary, report page, tables, figures and terminal output."""
