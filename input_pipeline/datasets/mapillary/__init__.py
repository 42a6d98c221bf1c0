"""Mapillary Vistas: its packages (`vistas`) and its classes (`classes`)."""
