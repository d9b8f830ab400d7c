"""Configuration entries, service definitions and registrations: text in, checked values out."""
