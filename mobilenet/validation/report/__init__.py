"""The report of a validation: one page of HTML that fetches nothing, and files for machines.

Door: `report_files.write_report`. `page` lists the sections; each is a file of its own name.
"""
