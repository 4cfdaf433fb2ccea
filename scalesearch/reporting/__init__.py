"""Results of a search for people: summary, report, tables, terminal."""
