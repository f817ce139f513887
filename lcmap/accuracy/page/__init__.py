"""The report of a scoring run as a page: one HTML file that holds its charts and pictures."""
