"""What every daemon of the house does alike at its start and end: logging, exit statuses, the tether."""
