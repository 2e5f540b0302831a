"""Floor 2: lessons, pages of Markdown whose Python runs, in English and Chinese."""

from recurra.lessons.reading import Cell, Lesson, find_lesson, lessons
from recurra.lessons.running import run_lesson

__all__ = ["Cell", "Lesson", "find_lesson", "lessons", "run_lesson"]
