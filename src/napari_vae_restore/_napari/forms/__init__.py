"""What a widget asks for, and what it remembers."""
