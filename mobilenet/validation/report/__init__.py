"""The report of a validation: one page of HTML that needs nothing else, and files for machines."""
