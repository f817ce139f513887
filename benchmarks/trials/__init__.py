"""The parts of `study.py`: what is declared, trained, measured and set side by side."""
