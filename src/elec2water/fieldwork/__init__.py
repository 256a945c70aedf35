"""What leaves the office: the field sheet, the map file, the report of a design, the files of ``design/``."""
