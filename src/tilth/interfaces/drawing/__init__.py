"""Drawings and tables of facts as SVG and HTML, for the console and for the pages that are sent. Pure; all text is escaped."""
